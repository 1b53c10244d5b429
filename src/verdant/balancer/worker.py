"""Worker: what happens to every request.

Place     balancer; joins routing, actions, counters and the access log around one exchange.
Promise   each request is counted and noted once, whatever its action did.
Not here  listeners (service.py).
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, cast

from verdant.balancer.access_log import AccessRecord, AccessSink
from verdant.balancer.actions import (
    answer_by_proxy,
    answer_empty,
    answer_no_hosts,
    answer_redirect,
    answer_static,
    answer_unknown,
)
from verdant.balancer.actions.redirect import answer_https, wants_https
from verdant.balancer.actions.spin import hold
from verdant.balancer.exchange import Exchange, House
from verdant.balancer.forwarding import proto_of
from verdant.balancer.rules import (
    Empty,
    NoHosts,
    Proxy,
    Redirect,
    Rule,
    Spin,
    Static,
    Unknown,
)
from verdant.core import monotonic
from verdant.net import Stream

if TYPE_CHECKING:
    from collections.abc import Callable

    from verdant.balancer.statistics import Statistics
    from verdant.http import Request, ServerConnection

__all__ = ["Worker"]

_ANSWERS = cast(
    "dict[type, Callable[[Exchange, object], None]]",
    {
        Empty: answer_empty,
        NoHosts: answer_no_hosts,
        Proxy: answer_by_proxy,
        Redirect: answer_redirect,
        Static: answer_static,
        Unknown: answer_unknown,
    },
)


def run_action(exchange: Exchange, rule: Rule) -> None:
    """Do with the exchange what `rule` says. Parks."""
    arguments = rule.arguments
    if isinstance(arguments, Spin):
        hold(exchange, arguments, run_action)
        return
    _ANSWERS[type(arguments)](exchange, arguments)


class Worker:
    """Handles the requests of one process. `note` hears of each when it is over."""

    def __init__(self, house: House, statistics: Statistics, note: AccessSink | None) -> None:
        self._house = house
        self._statistics = statistics
        self._note = note
        tls = house.config.tls
        self._https_port = tls.redirect_port if tls.redirect else None

    def handle_external(self, request: Request, connection: ServerConnection) -> None:
        """Answer a request from anybody. Parks."""
        self._handle(request, connection, False, b"http")

    def handle_tls(self, request: Request, connection: ServerConnection) -> None:
        """Answer a request from anybody who came by TLS. Parks."""
        self._handle(request, connection, False, b"https")

    def handle_internal(self, request: Request, connection: ServerConnection) -> None:
        """Answer a request from our own TLS terminator, whose word is taken. Parks."""
        self._handle(request, connection, True, proto_of(request.head))

    def _handle(
        self, request: Request, connection: ServerConnection, internal: bool, protocol: bytes
    ) -> None:
        started = monotonic()
        stream = connection.stream
        peer_host = stream.peer_host if isinstance(stream, Stream) else ""
        key, rule = self._house.table.resolve(request.host, protocol)
        counters = self._statistics.counters(key)
        exchange = Exchange(
            self._house, request, connection, key, rule, peer_host, internal, protocol
        )
        counters.open_requests += 1
        try:
            if self._https_port is None or not wants_https(exchange, key):
                run_action(exchange, rule)
            else:
                answer_https(exchange, self._https_port)
        finally:
            counters.open_requests -= 1
            counters.completed_requests += 1
            counters.bytes_sent += connection.bytes_sent
            counters.bytes_received += connection.bytes_received
            note = self._note
            if note is not None:
                backend = exchange.backend
                note(
                    AccessRecord(
                        time.time_ns(),
                        request.host.decode("ascii"),
                        request.method.decode("ascii"),
                        request.target.decode("ascii"),
                        connection.status,
                        connection.bytes_sent,
                        connection.bytes_received,
                        int((monotonic() - started) * 1e6),
                        peer_host,
                        exchange.rule.action,
                        "" if backend is None else f"{backend[0]}:{backend[1]}",
                    )
                )
