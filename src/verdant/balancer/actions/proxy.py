"""Action `proxy`: pass the request to a backend, and its answer back.

Place     balancer; retries live here alone, one exchange with one backend in proxy.py.
Promise   another backend is tried only while nothing of the request has left, or when the method
          is idempotent and no answer has begun; a POST is never sent twice. When none answers, the
          client gets the `timeout` page.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from verdant.balancer.proxy import BackendFailed, pass_to
from verdant.balancer.selection import choose_backend
from verdant.core import sleep

if TYPE_CHECKING:
    from verdant.balancer.exchange import Exchange
    from verdant.balancer.rules import Proxy

__all__ = ["answer_by_proxy"]

_log = logging.getLogger("verdant.balancer")


def answer_by_proxy(exchange: Exchange, action: Proxy) -> None:
    """Proxy to one of the rule's backends. Parks."""
    failed: list[tuple[str, int]] = []
    for number in range(1, action.attempts + 1):
        backend = choose_backend(action.backends, failed)
        try:
            pass_to(exchange, backend)
        except BackendFailed as exc:
            _log.info(
                "%s: backend %s:%d failed: %s",
                exchange.request.host.decode("ascii", "replace"),
                *backend,
                exc,
            )
            if not exc.may_retry:
                break
        else:
            return
        if number < action.attempts:
            failed.append(backend)
            sleep(action.delay_s)
    exchange.respond_page("timeout")
