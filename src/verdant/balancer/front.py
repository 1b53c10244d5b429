"""Front: all that one process needs to serve requests, between its listeners and its rules.

Place     balancer; service.py has one in its own process, worker_process.py one in each worker.
Promise   `take` has every request from then on meet the change, and wakes those held for it.
          `stop` accepts no more, lets open requests finish, and breaks what is left.
Not here  what a request meets (worker.py); where rules come from (rulebook.py, crew.py).
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from verdant.balancer.exchange import House
from verdant.balancer.holding import RELEASED_AT_ONCE, Holding
from verdant.balancer.pages import Pages
from verdant.balancer.routing import RuleTable
from verdant.balancer.statistics import Statistics
from verdant.balancer.worker import Worker
from verdant.core import sleep, spawn
from verdant.http import ConnectionPool, Deadlines, HttpServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from verdant.balancer.access_log import AccessSink
    from verdant.balancer.config import BalancerConfig
    from verdant.core import GreenThread
    from verdant.green.socket import socket

__all__ = ["Front"]

# How often idle backend connections are looked through; a few seconds late is early enough.
REAP_S = 2.0


class Front:
    """Serves requests in this process once started.

    `first_held(host)` hears of a host's first held request, `none_held(host)` of its last one's
    end. `note` hears of every request when it is over. `share` is the part of the limits that this
    process has, one over the number of processes that serve.
    """

    def __init__(
        self,
        config: BalancerConfig,
        listeners: Mapping[bool, list[socket]],
        first_held: Callable[[bytes], None],
        note: AccessSink | None,
        *,
        none_held: Callable[[bytes], None] | None = None,
        share: float = 1.0,
    ) -> None:
        """`listeners`: those for anybody under False, those for trusted peers under True."""
        self.table = RuleTable()
        self.statistics = Statistics()
        self.holding = Holding(
            _part(config.held_requests_max, share),
            _part(config.held_per_host_max, share),
            first_held,
            none_held,
            # A site that just woke meets no more of all workers together than of one.
            released_at_once=_part(RELEASED_AT_ONCE, share),
        )
        self._pool = ConnectionPool()
        self._deadlines = Deadlines()
        house = House(
            config, self.table, Pages(config.static_dir), self.holding, self._pool, self._deadlines
        )
        worker = Worker(house, self.statistics, note)
        self._servers = [
            HttpServer(
                listeners[internal],
                worker.handle_internal if internal else worker.handle_external,
                connections_max=_part(config.connections_max, share),
                idle_s_max=config.idle_timeout_s,
                head_s_max=config.head_timeout_s,
                name="client connection",
            )
            for internal in listeners
            if listeners[internal]
        ]
        self._reaper: GreenThread[None] | None = None

    def start(self) -> None:
        """Begin to serve. Does not park."""
        for server in self._servers:
            server.start()
        self._reaper = spawn(self._reap, name="idle backend reaper")

    def take(self, put: Mapping[str, bytes], deleted: Iterable[str]) -> None:
        """Have requests meet a change of the rules, texts by host. Does not park."""
        deleted = tuple(deleted)
        self.table.put_texts(put, deleted)
        self.statistics.retire(host.encode("ascii") for host in deleted)
        self.holding.rules_changed([*put, *deleted])

    def load(self, texts: dict[bytes, bytes]) -> None:
        """Have requests meet these rules and no others. Does not park."""
        self.table.load(texts)
        self.holding.all_rules_changed()

    def stop(self, grace_s: float, idle_s: float = 0.0) -> int:
        """Stop serving; returns how many requests had to be cut. Parks for `grace_s` at most.

        `idle_s`: how long connections that wait for a request may go on doing so.
        """
        if self._reaper is not None:
            self._reaper.cancel()
        drains = [
            spawn(partial(server.stop, grace_s, idle_s=idle_s), name="drain")
            for server in self._servers
        ]
        cut = sum(drain.wait() for drain in drains)
        self._pool.close()
        self._deadlines.stop()
        return cut

    def _reap(self) -> None:
        while True:
            sleep(REAP_S)
            self._pool.reap()


def _part(whole: int, share: float) -> int:
    # Rounded up: no worker may end up with nothing.
    return max(1, -int(-whole * share // 1))
