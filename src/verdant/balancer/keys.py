"""Keys: what of a request decides by consistent hashing, and which backend a cookie names.

Place     balancer; made ready once per rule, on a head's bytes.
Promise   a request without the header or cookie is hashed by its client's address.
Not here  hashing itself (selection.py).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from verdant.balancer.selection import hash_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from verdant.balancer.exchange import Exchange

__all__ = ["client_of", "cookie_reader", "field_reader", "key_reader"]

_first_address = re.compile(rb"\r\nx-forwarded-for:[ \t]*+([^\r, \t]++)", re.IGNORECASE).search


def field_reader(name: str) -> Callable[[bytes], bytes | None]:
    """A function that finds the first value of a field in a head, or None."""
    search = re.compile(
        rb"\r\n" + re.escape(name.encode("ascii")) + rb":[ \t]*+([^\r]*+)", re.IGNORECASE
    ).search

    def read(head: bytes) -> bytes | None:
        match = search(head)
        return match[1].rstrip(b" \t") if match else None

    return read


def cookie_reader(name: str) -> Callable[[bytes], bytes | None]:
    """A function that finds a cookie's value in a head, or None (RFC 6265 section 5.4)."""
    search = re.compile(
        rb"\r\n[Cc][Oo][Oo][Kk][Ii][Ee]:(?:[^\r]*?[; \t])?"
        + re.escape(name.encode("ascii"))
        + rb"=([^\r;]*+)"
    ).search

    def read(head: bytes) -> bytes | None:
        match = search(head)
        return match[1].strip(b' \t"') if match else None

    return read


def client_of(exchange: Exchange) -> bytes:
    """The client's address: the peer's, or what a trusted peer says it is."""
    if exchange.internal:
        match = _first_address(exchange.request.head)
        if match is not None:
            return match[1]
    return exchange.peer_host.encode("ascii", "replace")


def key_reader(hash_on: str) -> Callable[[Exchange], int]:
    """A function that gives an exchange's 64-bit key. `hash_on`: as rules have it."""
    kind, _, name = hash_on.partition(":")
    if kind == "address":
        return lambda exchange: hash_of(client_of(exchange))
    find = field_reader(name) if kind == "header" else cookie_reader(name)

    def read(exchange: Exchange) -> int:
        value = find(exchange.request.head)
        return hash_of(client_of(exchange) if value is None else value)

    return read
