r"""Rewriting: what a rule changes in the heads that pass, made ready once per rule.

Place     balancer; on the serializer. forwarding.py is the default, and all that rules without
          edits pay for; a rule with edits has a `Rewriting` and goes by it.
Promise   edits never touch framing (proxy_rule.py refuses them). Fields are removed, then set,
          then added. Through an external listener no claim of the client passes; through an
          internal one its Forwarded list and request id are kept.
Not here  which listener is internal (config.py).

    strip_prefix /app, add_prefix /v1:   /app/x?q  ▶  /v1/x?q     /other  ▶  /v1/other
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from verdant.balancer.forwarding import (
    client_address,
    external_fields,
    forward_external,
    forward_internal,
)
from verdant.balancer.proxy_rule import NO_EDITS
from verdant.http import field_remover, forwarded_request_head

if TYPE_CHECKING:
    from collections.abc import Callable

    from verdant.balancer.exchange import Exchange
    from verdant.balancer.proxy_rule import HeaderEdits, ProxyOptions
    from verdant.http import Request

__all__ = ["Rewriting", "forwarded_element", "moved_target"]

_forwarded = re.compile(rb"\r\nforwarded:([^\r]*)", re.IGNORECASE)
# RFC 7239 section 4: what is no token is quoted, and a port makes no token.
_is_plain = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+").fullmatch


def moved_target(target: bytes, strip: bytes, add: bytes) -> bytes:
    """The request target `target` without the prefix `strip` and with the prefix `add`.

    A prefix is whole segments: /app is one of /app and /app/x, not of /apple. Does not park.
    """
    if not target.startswith(b"/"):
        return target
    if strip and target.startswith(strip):
        rest = target[len(strip) :]
        if not rest or rest[:1] in (b"/", b"?"):
            target = rest if rest.startswith(b"/") else b"/" + rest
    return add + target


def forwarded_element(client: bytes, proto: bytes, host: bytes | None) -> bytes:
    """One element of a Forwarded field (RFC 7239 section 4). `client` b"": nobody knows."""
    node = b"unknown" if not client else b'"[%b]"' % client if b":" in client else client
    element = b"for=%b;proto=%b" % (node, proto)
    if host:
        element += b";host=" + (host if _is_plain(host) else b'"%b"' % host)
    return element


def _lines(edits: HeaderEdits) -> bytes:
    return b"".join(
        b"\r\n%b: %b" % (name.encode("ascii"), value.encode("ascii"))
        for name, value in (*edits.set, *edits.add)
    )


def _remover(edits: HeaderEdits) -> Callable[[bytes], bytes] | None:
    names = [*edits.remove, *(name for name, _ in edits.set)]
    return field_remover([name.encode("ascii") for name in names]) if names else None


class Rewriting:
    """The edits of one rule. `needed(options)` says whether it has any."""

    __slots__ = (
        "_add",
        "_answer_without",
        "_id_field",
        "_id_of",
        "_ids_removed",
        "_kind",
        "_prefix_line",
        "_renames_host",
        "_request_lines",
        "_request_without",
        "_strip",
        "answer_lines",
    )

    def __init__(self, options: ProxyOptions) -> None:
        edits = options.request_headers
        self._request_without = _remover(edits)
        self._request_lines = _lines(edits)
        self._renames_host = any(name.lower() == "host" for name, _ in edits.set)
        self._answer_without = _remover(options.response_headers)
        self.answer_lines = _lines(options.response_headers)
        self._strip = options.strip_prefix.encode("ascii")
        self._add = options.add_prefix.encode("ascii")
        self._kind = options.forwarded
        self._prefix_line = b"\r\nX-Forwarded-Prefix: " + self._strip if self._strip else b""
        self._id_field = options.request_id.encode("ascii")
        name = re.escape(self._id_field)
        self._id_of = re.compile(rb"\r\n" + name + rb":[ \t]*([!-~]{1,128})[ \t]*(?:\r|\Z)", re.I)
        self._ids_removed = field_remover([self._id_field]) if self._id_field else None

    @staticmethod
    def needed(options: ProxyOptions) -> bool:
        """Whether a rule with these options changes more than the usual fields."""
        return (
            options.request_headers != NO_EDITS
            or options.response_headers != NO_EDITS
            or bool(options.strip_prefix or options.add_prefix or options.request_id)
            or options.forwarded != "x"
        )

    def request_head(self, exchange: Exchange, extra: bytes) -> bytes:
        """The request's head as its backend gets it, with the blank line. Does not park.

        `extra`: more field lines, each opened by CR LF.
        """
        request = exchange.request
        told = self._told(exchange)
        if self._request_without is not None:
            # What the rule sets stands in place of ours as well.
            told = self._request_without(told)
        lines = told + self._request_lines + extra
        if self._ids_removed is not None:
            if not exchange.request_id:
                match = self._id_of.search(request.head) if exchange.internal else None
                # Ours has 128 random bits: no two meet (RFC 9562 reckons the same of UUIDs).
                exchange.request_id = match[1] if match else os.urandom(16).hex().encode("ascii")
            lines += b"\r\n%b: %b" % (self._id_field, exchange.request_id)
        internal = exchange.internal

        def without(head: bytes) -> bytes:
            if request.forwarded:
                head = self._without_claims(head, internal)
            if self._ids_removed is not None:
                head = self._ids_removed(head)
            if self._request_without is not None:
                head = self._request_without(head)
            return head

        head = forwarded_request_head(
            request, lines, without=without, upgrade=request.upgrade is not None
        )
        if self._renames_host and request.host and request.header(b"host") is None:
            # An HTTP/1.0 request for a URL: the name from there was put in, and gives way.
            head = head.replace(b"\r\nHost: " + request.host, b"", 1)
        if self._strip or self._add:
            line, newline, rest = head.partition(b"\r\n")
            method, target, version = line.split(b" ")
            target = moved_target(target, self._strip, self._add)
            head = b"%b %b %b%b%b" % (method, target, version, newline, rest)
        return head

    def answer_without(self, head: bytes) -> bytes:
        """An answer's head without the fields that the rule removes or sets. Does not park."""
        return head if self._answer_without is None else self._answer_without(head)

    def told_to_client(self, exchange: Exchange) -> bytes:
        """The field lines that the answer gets. Does not park."""
        if not exchange.request_id:
            return self.answer_lines
        return b"%b\r\n%b: %b" % (self.answer_lines, self._id_field, exchange.request_id)

    def _without_claims(self, head: bytes, internal: bool) -> bytes:
        if not internal:
            return forward_external(head, b"")[0]
        if self._kind in ("x", "both"):
            head = forward_internal(head, b"")[0]
        return _forwarded.sub(b"", head) if self._kind in ("rfc7239", "both") else head

    def _told(self, exchange: Exchange) -> bytes:
        request = exchange.request
        client = client_address(exchange.peer_host)
        lines = b""
        if self._kind in ("x", "both"):
            if exchange.internal:
                lines = forward_internal(request.head, client, exchange.protocol)[1]
            else:
                lines = external_fields(client, exchange.protocol)
            lines += self._prefix_line
            if self._renames_host and not exchange.internal:
                lines += b"\r\nX-Forwarded-Host: " + (request.header(b"host") or request.host)
        if self._kind in ("rfc7239", "both"):
            listed = self._listed(request) if exchange.internal else []
            # With a list from inside, what the client spoke stands in its first element.
            listed.append(forwarded_element(client, exchange.protocol, request.header(b"host")))
            lines += b"\r\nForwarded: " + b", ".join(listed)
        return lines

    @staticmethod
    def _listed(request: Request) -> list[bytes]:
        values = (value.strip(b" \t,") for value in _forwarded.findall(request.head))
        return [value for value in values if value]
