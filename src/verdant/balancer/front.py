"""Front: all that one process needs to serve requests, between its listeners and its rules.

Place     balancer; service.py has one in its own process, worker_process.py one in each worker.
Promise   `take` has every request from then on meet the change, and wakes those held for it.
          `stop` accepts no more, lets open requests finish, and breaks what is left.
Not here  what a request meets (worker.py); where rules come from (rulebook.py, crew.py).
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from verdant.balancer.exchange import House
from verdant.balancer.fleets import Fleets
from verdant.balancer.holding import RELEASED_AT_ONCE, Holding
from verdant.balancer.pages import Pages
from verdant.balancer.routing import RuleTable
from verdant.balancer.rules import Proxy
from verdant.balancer.share import part
from verdant.balancer.statistics import Statistics
from verdant.balancer.worker import Worker
from verdant.core import sleep, spawn
from verdant.http import ConnectionPool, Deadlines, HttpServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from verdant.balancer.access_log import AccessSink
    from verdant.balancer.config import BalancerConfig
    from verdant.core import GreenThread
    from verdant.green.socket import socket

__all__ = ["Doors", "Front"]

# How often idle backend connections are looked through; a few seconds late is early enough.
REAP_S = 2.0
# In the text of every rule whose backends are checked, requests or not.
CHECKED_WORD = b'"health_path"'


class Doors(NamedTuple):
    """Listeners: for anybody, for anybody by TLS, for trusted peers."""

    external: Sequence[socket] = ()
    tls: Sequence[socket] = ()
    internal: Sequence[socket] = ()


class Front:
    """Serves requests in this process once started.

    `first_held(host)` hears of a host's first held request, `none_held(host)` of its last one's
    end. `note` hears of every request when it is over. `share` is the part of the limits that this
    process has, one over the number of processes that serve.
    """

    def __init__(
        self,
        config: BalancerConfig,
        doors: Doors,
        first_held: Callable[[bytes], None],
        note: AccessSink | None,
        *,
        none_held: Callable[[bytes], None] | None = None,
        share: float = 1.0,
    ) -> None:
        self.table = RuleTable()
        self.statistics = Statistics()
        self.holding = Holding(
            part(config.held_requests_max, share),
            part(config.held_per_host_max, share),
            first_held,
            none_held,
            # A site that just woke meets no more of all workers together than of one.
            released_at_once=part(RELEASED_AT_ONCE, share),
        )
        self.deadlines = Deadlines()
        self.pool = ConnectionPool(self.deadlines)
        self.fleets = Fleets(config, self.pool, share)
        house = House(
            config, self.table, Pages(config.static_dir), self.holding, self.fleets, self.deadlines
        )
        worker = Worker(house, self.statistics, note)
        handlers = [
            (doors.external, worker.handle_external),
            (doors.tls, worker.handle_tls),
            (doors.internal, worker.handle_internal),
        ]
        self._servers = [
            HttpServer(
                listeners,
                handler,
                connections_max=part(config.connections_max, share),
                idle_s_max=config.idle_timeout_s,
                head_s_max=config.head_timeout_s,
                stalled_s_max=config.stalled_timeout_s,
                body_bytes_max=config.body_bytes_max,
                body_bytes_per_s_min=config.body_bytes_per_s_min,
                handshake_s_max=config.tls.handshake_timeout_s,
                name="client connection",
            )
            for listeners, handler in handlers
            if listeners
        ]
        self._reaper: GreenThread[None] | None = None

    def start(self) -> None:
        """Begin to serve. Does not park."""
        for server in self._servers:
            server.start()
        self._reaper = spawn(self._reap, name="idle backend reaper")
        self.fleets.start(self.table.having(CHECKED_WORD))

    def take(self, put: Mapping[str, bytes], deleted: Iterable[str]) -> None:
        """Have requests meet a change of the rules, texts by host. Does not park."""
        deleted = tuple(deleted)
        self.table.put_texts(put, deleted)
        self.statistics.retire(host.encode("ascii") for host in deleted)
        # The others stay texts until somebody asks for them.
        wanted = (
            host
            for host, text in put.items()
            if host.encode("ascii") in self.fleets or CHECKED_WORD in text
        )
        rules = {host: rule for host in wanted if (rule := self.table.get(host)) is not None}
        self.fleets.rules_changed(rules, deleted)
        self.holding.rules_changed([*put, *deleted])

    def load(self, texts: dict[bytes, bytes]) -> None:
        """Have requests meet these rules and no others. Does not park."""
        self.table.load(texts)
        self.fleets.all_rules_changed(self.table.get)
        if self._reaper is not None:
            self.fleets.start(self.table.having(CHECKED_WORD))
        self.holding.all_rules_changed()

    def backends(self, host: str) -> list[dict[str, object]]:
        """What is known here of each backend of a host's rule; nothing without such a rule.

        Does not park.
        """
        rule = self.table.get(host)
        if rule is None or not isinstance(rule.arguments, Proxy):
            return []
        return self.fleets.describe(host, rule)

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
        self.fleets.stop()
        self.pool.close()
        self.deadlines.stop()
        return cut

    def _reap(self) -> None:
        while True:
            sleep(REAP_S)
            self.pool.reap()
