"""Action `redirect`: 302 to another place, path and query kept; and 308 from http to https."""

from __future__ import annotations

from typing import TYPE_CHECKING

from verdant.http import Response

if TYPE_CHECKING:
    from verdant.balancer.exchange import Exchange
    from verdant.balancer.rules import Redirect

__all__ = ["answer_https", "answer_redirect", "wants_https"]

# Authorities look for their answers in plain (RFC 8555 section 8.3), before there is a certificate.
CHALLENGES = b"/.well-known/acme-challenge/"
HTTPS_PORT = 443


def answer_redirect(exchange: Exchange, action: Redirect) -> None:
    """Answer 302. Without a scheme in the rule, the client's own is kept. Parks."""
    target = action.redirect_to.encode("ascii")
    if b"://" not in target:
        target = exchange.protocol + b"://" + target
    location = target.rstrip(b"/") + exchange.request.path
    exchange.connection.respond(Response(302, [(b"Location", location)]))


def wants_https(exchange: Exchange, key: bytes) -> bool:
    """True for a request in plain, from anybody, to a host that has a rule (`key`)."""
    return bool(
        key
        and exchange.protocol == b"http"
        and not exchange.internal
        and not exchange.request.path.startswith(CHALLENGES)
    )


def answer_https(exchange: Exchange, port: int) -> None:
    """Answer 308 to the same place under https: method and body stay what they are. Parks."""
    request = exchange.request
    authority = request.host if port == HTTPS_PORT else b"%b:%d" % (request.host, port)
    location = b"https://" + authority + request.path
    exchange.connection.respond(Response(308, [(b"Location", location)]))
