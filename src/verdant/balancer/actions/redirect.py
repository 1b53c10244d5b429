"""Action `redirect`: 302 to another place, path and query kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

from verdant.http import Response

if TYPE_CHECKING:
    from verdant.balancer.exchange import Exchange
    from verdant.balancer.rules import Redirect

__all__ = ["answer_redirect"]


def answer_redirect(exchange: Exchange, action: Redirect) -> None:
    """Answer 302. Without a scheme in the rule, the client's own is kept. Parks."""
    target = action.redirect_to.encode("ascii")
    if b"://" not in target:
        target = exchange.protocol + b"://" + target
    location = target.rstrip(b"/") + exchange.request.path
    exchange.connection.respond(Response(302, [(b"Location", location)]))
