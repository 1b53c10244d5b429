r"""Forwarding: what a backend is told about the client, as bytes of the request's head.

Place     balancer, pure; proxy.py calls it for each request, http's serializer joins the result.
Promise   through an external listener no claim of the client about itself or its way here reaches
          a backend; through an internal one each claim does, and our peer is added to the list.
Not here  hop-by-hop fields (http/serializer.py), which listener is internal (config.py).

    external:  head without X-Forwarded-*, Forwarded, X-Real-IP
               + X-Forwarded-For: peer, X-Forwarded-Proto: as the listener speaks
    internal:  head as it came, + X-Forwarded-For: what it said, peer

Names with `_` for `-` are taken for the same claims: WSGI and CGI backends cannot tell
`X_Forwarded_For` from `X-Forwarded-For` (RFC 3875 section 4.1.18), so one would pass as the other.
Heads come from the strict parser: each line begins with CR LF, has its colon, and is not folded.
Nearly all have no such field, and are found out by one search.
"""

from __future__ import annotations

import re

__all__ = [
    "client_address",
    "end_to_end_trailers",
    "external_fields",
    "forward_external",
    "forward_internal",
    "proto_of",
]

_CLAIM = rb"\r\n(?:x[-_]forwarded(?:[-_][^:\r]*)?|forwarded|x[-_]real[-_]ip):[^\r]*"
_has_claim = re.compile(rb"\r\n(?:x[-_]forwarded|forwarded|x[-_]real[-_]ip)", re.IGNORECASE).search
_without_claims = re.compile(_CLAIM, re.IGNORECASE).sub
_addresses = re.compile(rb"\r\nx-forwarded-for:([^\r]*)", re.IGNORECASE)
# The first protocol of a list is what the client itself spoke; later ones are inner hops.
_protocol = re.compile(rb"\r\nx-forwarded-proto(?:col)?:[ \t]*+([^\r, \t]*)", re.IGNORECASE).search
# The same in an element of Forwarded (RFC 7239 section 5.4), the first that says it.
_forwarded_protocol = re.compile(
    rb"\r\nforwarded:(?:[^\r]*?[;, \t])?proto=\"?([a-z]+)", re.IGNORECASE
).search
_address = re.compile(r"[0-9A-Fa-f:.]+").fullmatch


# What a trailer must not say (RFC 9110 section 6.5.1): framing, routing, conditions, credentials,
# what decides how the content is read, and the claims above.
_not_a_trailer = re.compile(
    rb"\r\n(?:transfer-encoding|content-(?:length|encoding|type|range)|host|te|trailer|expect|range"
    rb"|connection|keep-alive|upgrade|cache-control|max-forwards|if-[^:\r]*|authorization"
    rb"|www-authenticate|set-cookie|cookie|location|proxy-[^:\r]*|forwarded"
    rb"|x[-_]forwarded(?:[-_][^:\r]*)?|x[-_]real[-_]ip):[^\r]*",
    re.IGNORECASE,
).sub


def end_to_end_trailers(trailers: bytes) -> bytes:
    """Trailers (lines, each opened by CR LF) without those that must not be passed on."""
    return _not_a_trailer(b"", trailers) if trailers else b""


def client_address(host: str) -> bytes:
    """A peer's address as fields tell it; b"" for a peer without one (a unix socket).

    An IPv4 client of a listener for both families shows as ::ffff:192.0.2.1 and is told as
    192.0.2.1; a scope such as %eth0 means nothing to others and is left out.
    """
    address = host.partition("%")[0]
    if _address(address) is None:
        return b""
    if address.startswith("::ffff:") and "." in address:
        address = address.removeprefix("::ffff:")
    return address.encode("ascii")


def external_fields(client: bytes, proto: bytes = b"http") -> bytes:
    """The field lines that an external listener adds; the same for a whole connection.

    `client`: from `client_address`. `proto`: b"http" or b"https", what the listener speaks.
    """
    fields = b"\r\nX-Forwarded-Proto: " + proto
    return b"\r\nX-Forwarded-For: " + client + fields if client else fields


def forward_external(head: bytes, fields: bytes) -> tuple[bytes, bytes]:
    """The head without the client's claims, and the field lines to add (`fields` itself).

    `head`: the request's head without its closing blank line. Does not park.
    """
    if _has_claim(head) is not None:
        head = _without_claims(b"", head)
    return head, fields


def forward_internal(head: bytes, client: bytes, proto: bytes = b"http") -> tuple[bytes, bytes]:
    """The head of a trusted peer without its X-Forwarded-For, and the field lines to add.

    The lines have the addresses that it named and, behind them, its own. A protocol that it named
    stands; else `proto` is told. Forwarded (RFC 7239) passes as it is. Does not park.
    """
    if _has_claim(head) is None:
        return head, external_fields(client, proto)
    listed = [value.strip(b" \t,") for value in _addresses.findall(head)]
    head = _addresses.sub(b"", head)
    if client:
        listed.append(client)
    addresses = b", ".join(address for address in listed if address)
    fields = b"\r\nX-Forwarded-For: " + addresses if addresses else b""
    if _protocol(head) is None:
        fields += b"\r\nX-Forwarded-Proto: " + proto
    return head, fields


def proto_of(head: bytes, proto: bytes = b"http") -> bytes:
    """b"https" or b"http": what the client spoke, by the word of a trusted peer's head.

    `proto` when it says nothing. `ssl`, as old terminators say, is https. Does not park.
    """
    match = _protocol(head) or _forwarded_protocol(head)
    if match is None:
        return proto
    return b"https" if match[1].lower() in (b"https", b"ssl") else b"http"
