"""Actions `static`, `unknown` and `no_hosts`: stored pages."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from verdant.balancer.exchange import Exchange
    from verdant.balancer.rules import NoHosts, Static, Unknown

__all__ = ["answer_no_hosts", "answer_static", "answer_unknown"]


def answer_static(exchange: Exchange, action: Static) -> None:
    """Answer with the rule's page. Parks while the client does not read."""
    exchange.respond_page(action.type)


def answer_unknown(exchange: Exchange, _: Unknown) -> None:
    """Answer that no rule knows the host. Parks while the client does not read."""
    exchange.respond_page("unknown")


def answer_no_hosts(exchange: Exchange, _: NoHosts) -> None:
    """Answer that there are no rules. Parks while the client does not read."""
    exchange.respond_page("no-hosts")
