"""Service: one balancer in one process, its parts put together, started and stopped in order.

Place     balancer; for programs that have a balancer inside them, and for tests. The command line
          runs workers under a supervisor (supervisor.py).
Promise   rules are loaded before the first request is accepted. `stop()` accepts no more, lets
          open requests finish within the drain time, and leaves state that was durable all along.
Not here  what a request meets (worker.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from verdant.balancer.front import Front
from verdant.balancer.management import Management
from verdant.balancer.rule_texts import text_of
from verdant.balancer.rulebook import Rulebook
from verdant.balancer.state import State
from verdant.balancer.wake import Waker
from verdant.core import run_in_worker
from verdant.http import HttpServer
from verdant.net import bound_address, listen
from verdant.wsgi import wsgi_handler

if TYPE_CHECKING:
    from verdant.address import TcpAddress, UnixAddress
    from verdant.balancer.access_log import AccessSink
    from verdant.balancer.config import BalancerConfig
    from verdant.balancer.routing import Changes
    from verdant.balancer.statistics import Counts
    from verdant.green.socket import socket

__all__ = ["MANAGEMENT_CONNECTIONS_MAX", "BalancerService"]

# The management API serves operators and programs, not visitors.
MANAGEMENT_CONNECTIONS_MAX = 256


class _Alone:
    """The crew of a balancer in one process: its own front."""

    def __init__(self, front: Front) -> None:
        self._front = front

    def publish(self, changes: Changes) -> int:
        put = {host: text_of(rule) for host, rule in changes.put.items()}
        self._front.take(put, changes.deleted)
        return 0

    def wait(self, number: int) -> None:
        pass

    def statistics(self) -> dict[str, Counts]:
        return self._front.statistics.snapshot()


class BalancerService:
    """A balancer in this process. `note` hears of every request when it is over.

    Opening binds every listener and reads the rules; raises `AddressUnusable`, `StateError`.
    """

    def __init__(self, config: BalancerConfig, note: AccessSink | None = None) -> None:
        self.config = config
        self._listeners: list[socket] = []
        self._state = State(config.state_dir)
        try:
            external = [self._listen(address) for address in config.bind]
            internal = [self._listen(address) for address in config.bind_internal]
            management = self._listen(config.management)
            waker = self._waker = Waker(config.wake)
        except BaseException:
            for listener in self._listeners:
                listener.close()
            self._state.close()
            raise
        self.addresses = [bound_address(listener) for listener in external]
        self.internal_addresses = [bound_address(listener) for listener in internal]
        self.management_address: TcpAddress | UnixAddress = bound_address(management)

        listeners = {False: external, True: internal}
        self._front = Front(config, listeners, waker.first_held, note, none_held=waker.none_held)
        self._front.load(
            {host.encode("ascii"): text for host, text in self._state.rules.texts.items()}
        )
        self.holding = self._front.holding
        self.rulebook = Rulebook(self._state, _Alone(self._front))
        self._management = HttpServer(
            management,
            wsgi_handler(Management(self.rulebook)),
            connections_max=MANAGEMENT_CONNECTIONS_MAX,
            name="management connection",
        )

    def _listen(self, address: str) -> socket:
        listener = listen(address)
        self._listeners.append(listener)
        return listener

    def start(self) -> None:
        """Begin to serve. Does not park."""
        self._front.start()
        self._management.start()

    def stop(self) -> int:
        """Stop serving; returns how many requests had to be cut. Parks for the drain time."""
        cut = self._front.stop(self.config.drain_timeout_s)
        self._management.stop(0.5)
        self._waker.close()
        run_in_worker(self._state.close)
        return cut
