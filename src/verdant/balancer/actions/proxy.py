"""Action `proxy`: pass the request to a backend, and its answer back.

Place     balancer; retries live here alone, one exchange with one backend in proxy.py.
Promise   another backend is tried only while nothing of the request has left, or when the method
          is idempotent, its body still in hand and no answer has begun: a POST is never sent twice.
          Retries stay within the rule's budget. When none answers, the client hears why: 502 for a
          backend that is down or speaks no HTTP, 504 for one that is too slow, 503 with Retry-After
          when the rule's limits leave no room. What failed is noted against its backend.
"""

from __future__ import annotations

import logging
from math import ceil
from typing import TYPE_CHECKING

from verdant.balancer.answer import AnswerCut, cut_off
from verdant.balancer.errors import Overloaded
from verdant.balancer.proxy import GATEWAY_TIMEOUT, BackendFailed, pass_to
from verdant.core import Timeout, monotonic, sleep
from verdant.http import ConnectionLost, Response

if TYPE_CHECKING:
    from verdant.balancer.backend import Backend
    from verdant.balancer.exchange import Exchange
    from verdant.balancer.fleet import Fleet
    from verdant.balancer.rules import Proxy

__all__ = ["answer_by_proxy"]

_log = logging.getLogger("verdant.balancer")

_PAGES = {502: "bad-gateway", 504: "gateway-timeout"}


def answer_by_proxy(exchange: Exchange, _: Proxy) -> None:
    """Proxy to one of the rule's backends. Parks."""
    fleet = exchange.house.fleets.fleet_of(exchange.key, exchange.rule)
    if not fleet.total_s:
        _answer(exchange, fleet)
        return
    bound = Timeout(fleet.total_s)
    try:
        with bound:
            _answer(exchange, fleet)
    except Timeout as exc:
        if exc is not bound:
            raise
        _answer_too_late(exchange, fleet)


def _answer(exchange: Exchange, fleet: Fleet) -> None:
    fleet.budget.requests += 1
    attempts_left = fleet.action.attempts
    tried: tuple[Backend, ...] = ()
    while True:
        attempts_left -= 1
        if fleet.limited:
            try:
                fleet, backend = fleet.admit(exchange, tried)
            except Overloaded as exc:
                _refuse(exchange, fleet, exc)
                return
        else:
            backend = fleet.only or fleet.choose(exchange, tried)
        load = fleet.load
        load.open += 1
        backend.open += 1
        backend.requests += 1
        try:
            pass_to(exchange, fleet, backend)
        except BackendFailed as exc:
            failure = exc
        except AnswerCut as exc:
            _note_failure(exchange, fleet, backend, exc)
            raise
        else:
            backend.streak = 0
            return
        finally:
            load.open -= 1
            backend.open -= 1
            if load.waiting or backend.removed:
                fleet.left(backend)
        _note_failure(exchange, fleet, backend, failure)
        if attempts_left <= 0 or not failure.may_retry or not fleet.budget.take(monotonic()):
            break
        tried = (*tried, backend)
        sleep(fleet.action.delay_s)
        fleet = fleet.newest()
    exchange.respond_failure(_PAGES[failure.status])


def _note_failure(exchange: Exchange, fleet: Fleet, backend: Backend, exc: Exception) -> None:
    backend.failures += 1
    backend.last_failure = str(exc)
    options = fleet.options
    now = monotonic()
    if backend.failed(now, options.eject_after, options.eject_s):
        fleet.newest().settle()
        _log.warning(
            "%s: backend %s is put out for %.0f s: %s",
            exchange.key.decode("ascii"),
            backend.name,
            backend.back_at - now,
            exc,
        )
    _log.info("%s: backend %s failed: %s", exchange.key.decode("ascii"), backend.name, exc)


def _refuse(exchange: Exchange, fleet: Fleet, exc: Overloaded) -> None:
    _log.info("%s: refused a request: %s", exchange.key.decode("ascii"), exc)
    fields = [
        (b"Retry-After", b"%d" % max(1, ceil(fleet.options.queue_s))),
        (b"Content-Type", b"text/plain; charset=utf-8"),
    ]
    body = b"This site has as many requests as it can take; try again soon.\n"
    exchange.connection.respond(Response(503, fields, body))


def _answer_too_late(exchange: Exchange, fleet: Fleet) -> None:
    connection = exchange.connection
    if connection.bytes_sent or connection.lost:
        cut_off(connection, until_close=True)
        raise ConnectionLost(f"the exchange was not over within {fleet.total_s:g} s")
    exchange.respond_failure(_PAGES[GATEWAY_TIMEOUT])
