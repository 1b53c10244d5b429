"""Action `empty`: a status and no body."""

from __future__ import annotations

from typing import TYPE_CHECKING

from verdant.http import Response

if TYPE_CHECKING:
    from verdant.balancer.exchange import Exchange
    from verdant.balancer.rules import Empty

__all__ = ["answer_empty"]


def answer_empty(exchange: Exchange, action: Empty) -> None:
    """Answer with the rule's status. Parks while the client does not read."""
    exchange.connection.respond(Response(action.code))
