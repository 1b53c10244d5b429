"""Action `spin`: hold the request until its host has another rule, then do what that says.

Place     balancer; the only action that runs another one.
Promise   a held request is answered: by the new rule, by the `timeout` page when the rule's time
          is up, or by 503 with Retry-After when there is no room to hold it.
Not here  the line it waits in (holding.py), what wakes the site (wake.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from verdant.balancer.rules import Spin
from verdant.core import TimedOut, monotonic
from verdant.http import Response

if TYPE_CHECKING:
    from collections.abc import Callable

    from verdant.balancer.exchange import Exchange
    from verdant.balancer.holding import HeldHost
    from verdant.balancer.routing import Match
    from verdant.balancer.rules import Rule

__all__ = ["hold"]

# Long enough for the line to move, short enough for a person to wait.
RETRY_AFTER_S = 5


def hold(exchange: Exchange, action: Spin, run: Callable[[Exchange, Rule], None]) -> None:
    """Hold the exchange, then `run` it under its new rule. Parks."""
    host = exchange.request.host
    holding = exchange.house.holding
    group = holding.enter(host)
    if group is None:
        fields = [(b"Retry-After", b"%d" % RETRY_AFTER_S)]
        exchange.connection.respond(
            Response(503, fields, b"Too many requests wait for this site; try again soon.\n")
        )
        return
    try:
        try:
            match = _wait_for_rule(exchange, action, group)
        finally:
            holding.released(host, group)
        if match is None:
            exchange.respond_page("timeout")
            return
        with group.release:
            # Standing in line for a place took its time: what holds now? Once released is released,
            # though: a place is not kept while waiting again.
            now = exchange.house.table.resolve(host, exchange.protocol)
            exchange.key, exchange.rule = match if isinstance(now[1].arguments, Spin) else now
            run(exchange, exchange.rule)
    finally:
        holding.leave(host, group)


def _wait_for_rule(exchange: Exchange, action: Spin, group: HeldHost) -> Match | None:
    deadline = monotonic() + action.timeout_s
    table = exchange.house.table
    host = exchange.request.host
    while True:
        # No change can come between this look and our place in the line: nothing here parks.
        match = table.resolve(host, exchange.protocol)
        if not isinstance(match[1].arguments, Spin):
            return match
        left = deadline - monotonic()
        if left <= 0:
            return None
        try:
            group.line.wait(left)
        except TimedOut as exc:
            if type(exc) is not TimedOut:
                raise
            return None
