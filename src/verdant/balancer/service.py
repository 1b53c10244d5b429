"""Service: one balancer, its parts put together, started and stopped in order.

Place     balancer; the command line runs it.
Promise   rules are loaded before the first request is accepted. `stop()` accepts no more, lets
          open requests finish within the drain time, and leaves state that was durable all along.
Not here  what a request meets (worker.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from verdant.balancer.api import Access, ChangePublisher, ManagementApi
from verdant.balancer.certificates import Certificates
from verdant.balancer.exchange import House
from verdant.balancer.fleets import Fleets
from verdant.balancer.holding import Holding
from verdant.balancer.pages import Pages
from verdant.balancer.routing import RuleTable
from verdant.balancer.rulebook import Rulebook
from verdant.balancer.state import State
from verdant.balancer.statistics import Statistics
from verdant.balancer.wake import Waker
from verdant.balancer.worker import Worker
from verdant.core import run_in_worker, sleep, spawn
from verdant.http import ConnectionPool, Deadlines, HttpServer
from verdant.net import bound_address, listen
from verdant.wsgi import wsgi_handler

if TYPE_CHECKING:
    from ssl import SSLContext

    from verdant.address import TcpAddress, UnixAddress
    from verdant.balancer.access_log import AccessSink
    from verdant.balancer.certificates import CertificateState
    from verdant.balancer.config import BalancerConfig
    from verdant.core import GreenThread
    from verdant.green.socket import socket

__all__ = ["BalancerService"]

# How often idle backend connections are looked through; a few seconds late is early enough.
REAP_S = 2.0

# The management API serves operators and programs, not visitors.
MANAGEMENT_CONNECTIONS_MAX = 256


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
            tls = self._listen_tls()
            external = [self._listen(address) for address in config.bind]
            internal = [self._listen(address) for address in config.bind_internal]
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
        self.addresses = [bound_address(listener) for listener in external]
        self.tls_addresses = [bound_address(listener) for listener in tls]
        self.internal_addresses = [bound_address(listener) for listener in internal]
        self.management_address: TcpAddress | UnixAddress = bound_address(management)

        table = RuleTable(self._state.rules)
        self.holding = Holding(config.held_requests_max, config.held_per_host_max, waker.first_held)
        waker.holding = self.holding
        statistics = Statistics()
        self._table = table
        self._deadlines = Deadlines()
        self._pool = ConnectionPool(self._deadlines)
        self.fleets = Fleets(config, self._pool)
        house = House(
            config, table, Pages(config.static_dir), self.holding, self.fleets, self._deadlines
        )
        worker = Worker(house, statistics, note)
        self.rulebook = Rulebook(self._state, table, self.holding, statistics, self.fleets)
        handlers = [
            (external, worker.handle_external),
            (tls, worker.handle_tls),
            (internal, worker.handle_internal),
        ]
        self._servers = [
            HttpServer(
                listeners,
                handler,
                connections_max=config.connections_max,
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
        self._reaper: GreenThread[None] | None = None
        self._checker: GreenThread[list[CertificateState]] | None = None

    def _listen_tls(self) -> list[socket]:
        settings = self.config.tls
        if not settings.bind or settings.directory is None:
            return []
        self.certificates = Certificates(
            settings.directory,
            default=settings.default,
            client_ca=settings.client_ca,
            contexts_max=settings.certificates_max,
        )
        return [self._listen(address, self.certificates.context) for address in settings.bind]

    def _listen(self, address: str, tls: SSLContext | None = None) -> socket:
        listener = listen(address, tls=tls)
        self._listeners.append(listener)
        return listener

    def start(self) -> None:
        """Begin to serve. Does not park."""
        for server in (*self._servers, self._management):
            server.start()
        self.fleets.start(self._table)
        self._publisher.start(self.rulebook.feed)
        self._reaper = spawn(self._reap, name="idle backend reaper")
        if self.certificates is not None:
            self._checker = spawn(self.certificates.check, name="certificate check")

    def stop(self) -> int:
        """Stop serving; returns how many requests had to be cut. Parks for the drain time."""
        self._stopping = True
        for helper in (self._reaper, self._checker):
            if helper is not None:
                helper.cancel()
        drains = [
            spawn(server.stop, self.config.drain_timeout_s, name="drain")
            for server in self._servers
        ]
        cut = sum(drain.wait() for drain in drains)
        self._management.stop(0.5)
        self.fleets.stop()
        self._pool.close()
        self._deadlines.stop()
        self._publisher.close()
        self._waker.close()
        run_in_worker(self._state.close)
        return cut

    def _reap(self) -> None:
        while True:
            sleep(REAP_S)
            self._pool.reap()
            self.rulebook.sweep()
