"""Service: one balancer in one process, its parts put together, started and stopped in order.

Place     balancer; for programs that have a balancer inside them, and for tests. The command line
          runs workers under a supervisor (supervisor.py).
Promise   rules are loaded before the first request is accepted. `stop()` accepts no more, lets
          open requests finish within the drain time, and leaves state that was durable all along.
Not here  what a request meets (worker.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from verdant.balancer.api import Access, ChangePublisher, ManagementApi
from verdant.balancer.certificates import Certificates
from verdant.balancer.front import Doors, Front
from verdant.balancer.rule_texts import text_of
from verdant.balancer.rulebook import Rulebook
from verdant.balancer.state import State
from verdant.balancer.wake import Waker
from verdant.core import run_in_worker, sleep, spawn
from verdant.http import HttpServer
from verdant.net import bound_address, listen
from verdant.wsgi import wsgi_handler

if TYPE_CHECKING:
    from collections.abc import Callable
    from ssl import SSLContext

    from verdant.address import TcpAddress, UnixAddress
    from verdant.balancer.access_log import AccessSink
    from verdant.balancer.certificates import CertificateState
    from verdant.balancer.config import BalancerConfig
    from verdant.balancer.routing import Changes
    from verdant.balancer.statistics import Statistics
    from verdant.core import GreenThread
    from verdant.green.socket import socket

__all__ = ["MANAGEMENT_CONNECTIONS_MAX", "BalancerService"]

# The management API serves operators and programs, not visitors.
MANAGEMENT_CONNECTIONS_MAX = 256
# How often is noted who was asked for.
SWEEP_S = 2.0


class _Alone:
    """The crew of a balancer in one process: its own front."""

    def __init__(self, front: Front) -> None:
        self._front = front
        self.totals: Statistics = front.statistics
        self._moved: Callable[[list[str]], object] = lambda _: None

    def publish(self, changes: Changes) -> int:
        put = {host: text_of(rule) for host, rule in changes.put.items()}
        self._front.take(put, changes.deleted)
        return 0

    def wait(self, number: int) -> None:
        pass

    def refresh(self) -> None:
        pass

    def has_moved(self, host: str) -> bool:
        return self.totals.has_moved(host)

    def tell_activity(self, moved: Callable[[list[str]], object]) -> None:
        self._moved = moved

    def sweep(self) -> None:
        self.totals.sweep(self._moved)

    def backends(self, host: str) -> list[dict[str, object]]:
        return self._front.backends(host)

    def held_by_host(self) -> dict[str, int]:
        return self._front.holding.held_by_host()

    def wait_until_left(self, host: str, address: tuple[str, int], timeout_s: float) -> int:
        return self._front.fleets.wait_until_left(host, address, timeout_s)


class BalancerService:
    """A balancer in this process. `note` hears of every request when it is over.

    Opening binds every listener and reads the rules; raises `AddressUnusable`, `StateError`,
    `BadCertificate` for a directory of certificates that is none.
    """

    def __init__(self, config: BalancerConfig, note: AccessSink | None = None) -> None:
        self.config = config
        self._listeners: list[socket] = []
        self._state = State(config.state_dir)
        # For whoever puts and deletes them while the balancer runs; None without TLS.
        self.certificates: Certificates | None = None
        try:
            doors = Doors(
                tls=self._listen_tls(),
                external=[self._listen(address) for address in config.bind],
                internal=[self._listen(address) for address in config.bind_internal],
            )
            management = self._listen(config.management)
            managements = [management, *(self._listen(a) for a in config.bind_management)]
            access = Access(config.tokens)
            waker = self._waker = Waker(config.wake)
            try:
                self._publisher = ChangePublisher(config.feed)
            except BaseException:
                waker.close()
                raise
        except BaseException:
            for listener in self._listeners:
                listener.close()
            self._state.close()
            raise
        self.addresses = [bound_address(listener) for listener in doors.external]
        self.tls_addresses = [bound_address(listener) for listener in doors.tls]
        self.internal_addresses = [bound_address(listener) for listener in doors.internal]
        self.management_address: TcpAddress | UnixAddress = bound_address(management)

        self._front = Front(config, doors, waker.first_held, note, none_held=waker.none_held)
        self._front.load(
            {host.encode("ascii"): text for host, text in self._state.rules.texts.items()}
        )
        self.holding, self.fleets = self._front.holding, self._front.fleets
        self._crew = _Alone(self._front)
        self.rulebook = Rulebook(self._state, self._crew)
        self._management = HttpServer(
            managements,
            wsgi_handler(
                ManagementApi(
                    self.rulebook,
                    access,
                    metrics_hosts_max=config.metrics_hosts_max,
                    ready=lambda: not self._stopping,
                )
            ),
            connections_max=MANAGEMENT_CONNECTIONS_MAX,
            name="management connection",
        )
        self._stopping = False
        self._sweeper: GreenThread[None] | None = None
        self._checker: GreenThread[list[CertificateState]] | None = None

    def _listen_tls(self) -> list[socket]:
        settings = self.config.tls
        if not settings.bind:
            return []
        self.certificates = Certificates.of(settings)
        return [self._listen(address, self.certificates.context) for address in settings.bind]

    def _listen(self, address: str, tls: SSLContext | None = None) -> socket:
        listener = listen(address, tls=tls)
        self._listeners.append(listener)
        return listener

    def start(self) -> None:
        """Begin to serve. Does not park."""
        self._front.start()
        self._management.start()
        self._publisher.start(self.rulebook.feed)
        self._sweeper = spawn(self._sweep, name="activity sweeper")
        if self.certificates is not None:
            self._checker = spawn(self.certificates.check, name="certificate check")

    def stop(self) -> int:
        """Stop serving; returns how many requests had to be cut. Parks for the drain time."""
        self._stopping = True
        for helper in (self._sweeper, self._checker):
            if helper is not None:
                helper.cancel()
        cut = self._front.stop(self.config.drain_timeout_s)
        self._management.stop(0.5)
        self._publisher.close()
        self._waker.close()
        run_in_worker(self._state.close)
        return cut

    def _sweep(self) -> None:
        while True:
            sleep(SWEEP_S)
            self._crew.sweep()
