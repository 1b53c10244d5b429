"""Serializer: heads and chunks to bytes.

Place     http, pure.
Promise   nothing that a caller passes can end a line early; one framing, CR LF only; fields that
          end at this connection are not passed on, those that Connection names included.
Not here  when to send what (connection.py, and the balancer's proxy).

    forwarded head = the head as it came - hop-by-hop fields - `without` + `extra` + our framing

The parser notes whether a head has hop-by-hop fields at all. Most requests have none, and then
forwarding is one concatenation.
"""

from __future__ import annotations

import re
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from typing import TYPE_CHECKING

from verdant.http.headers import Field, is_token, to_lines

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from verdant.http.messages import Request, ResponseHead

__all__ = [
    "CONTINUE",
    "LAST_CHUNK",
    "chunk",
    "date_line",
    "field_remover",
    "forwarded_request_head",
    "forwarded_response_head",
    "last_chunk",
    "reason_phrase",
    "request_head",
    "response_head",
    "simple_response",
]

LAST_CHUNK = b"0\r\n\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"

# Fields that mean this connection alone (RFC 9110 section 7.6.1), whatever Connection names.
# Expect is among them because whoever reads the body says "continue": we do, not the backend.
_remove_hop_by_hop = re.compile(
    rb"\r\n(?:connection|keep-alive|te|trailer|transfer-encoding|upgrade|expect"
    rb"|proxy-[!#$%&'*+.^_`|~0-9A-Za-z-]++):[^\r]*+",
    re.IGNORECASE,
).sub
_accepts_trailers = re.compile(
    rb"\r\nte:(?:[^\r]*[,\t ])?trailers[\t ]*(?:[,;][^\r]*)?(?:\r|\Z)", re.IGNORECASE
).search
_find_connection = re.compile(rb"\r\nconnection:([^\r]*+)", re.IGNORECASE).findall
_is_target = re.compile(rb'[!"$-~]+').fullmatch
_is_reason = re.compile(rb"[\t -~\x80-\xff]*").fullmatch

# Connection may name any field as its own; without these two the message would change its meaning.
# The options that are no fields are only not worth a look.
_STAYS = frozenset({b"host", b"content-length", b"close", b"keep-alive", b"upgrade"})

_REASONS = {int(status): status.phrase.encode("ascii") for status in HTTPStatus}
_STATUS_LINES = {
    status: b"HTTP/1.1 %d %b" % (status, reason) for status, reason in _REASONS.items()
}


def reason_phrase(status: int) -> bytes:
    """The standard phrase for a status, or "Status" for one that has none."""
    return _REASONS.get(status, b"Status")


@lru_cache(maxsize=4)
def date_line(now_s: int) -> bytes:
    r"""The Date field's line for a wall-clock time in whole seconds: `\r\nDate: ...`.

    Remembered for the second, since every answer of that second has the same.
    """
    return b"\r\nDate: " + formatdate(now_s, usegmt=True).encode("ascii")


def request_head(method: bytes, target: bytes, fields: Iterable[Field] = ()) -> bytes:
    """A request's head with its blank line. Raises ValueError for what cannot be sent."""
    if is_token(method) is None or _is_target(target) is None:
        raise ValueError(f"{method!r} {target!r} cannot be a request line")
    return b"%b %b HTTP/1.1%b\r\n\r\n" % (method, target, to_lines(fields))


def response_head(
    status: int, fields: Iterable[Field] = (), extra: bytes = b"", *, reason: bytes = b""
) -> bytes:
    """An answer's head with its blank line.

    `extra`: whole field lines, each opened by CR LF, that the caller answers for. `reason`: the
    standard phrase when left out. Raises ValueError for what cannot be sent.
    """
    if reason:
        if _is_reason(reason) is None:
            raise ValueError(f"{reason!r} cannot be a reason phrase")
        line = b"HTTP/1.1 %d %b" % (status, reason)
    else:
        line = _STATUS_LINES.get(status) or b"HTTP/1.1 %d Status" % status
    if not 100 <= status <= 999:
        raise ValueError(f"{status} cannot be a status: it has three digits")
    return b"%b%b%b\r\n\r\n" % (line, to_lines(fields), extra)


def simple_response(
    status: int,
    body: bytes,
    fields: Iterable[Field] = ((b"Content-Type", b"text/plain; charset=utf-8"),),
    extra: bytes = b"",
) -> bytes:
    """A whole answer, its Content-Length written. Raises ValueError for what cannot be sent."""
    return response_head(status, fields, b"\r\nContent-Length: %d%b" % (len(body), extra)) + body


def chunk(data: bytes) -> bytes:
    """One chunk of a chunked body. Raises ValueError for empty data: that would end the body."""
    if not data:
        raise ValueError("a chunk cannot be empty: an empty one ends the body")
    return b"%x\r\n%b\r\n" % (len(data), data)


def last_chunk(trailers: bytes = b"") -> bytes:
    """The end of a chunked body. `trailers`: field lines, each opened by CR LF."""
    return b"0%b\r\n\r\n" % trailers


def field_remover(names: Iterable[bytes]) -> Callable[[bytes], bytes]:
    """A function that takes the fields of these names, in any case, out of a head's bytes.

    Compiled once: keep it. A name that ends in "*" stands for all that begin so. Raises
    ValueError for what cannot be a name, or for no names at all.
    """
    patterns = []
    for name in names:
        if is_token(name) is None:
            raise ValueError(f"{name!r} cannot be the name of a header field")
        if name.endswith(b"*"):
            patterns.append(re.escape(name[:-1]) + rb"[!#$%&'*+.^_`|~0-9A-Za-z-]*+")
        else:
            patterns.append(re.escape(name))
    if not patterns:
        raise ValueError("a field remover needs at least one name")
    remove = re.compile(rb"\r\n(?:" + b"|".join(patterns) + rb"):[^\r]*+", re.IGNORECASE).sub

    def without(head: bytes) -> bytes:
        return remove(b"", head)

    return without


def _end_to_end(head: bytes) -> bytes:
    named = {
        option
        for value in _find_connection(head)
        for option in (part.strip(b" \t") for part in value.lower().split(b","))
        if option not in _STAYS and is_token(option)
    }
    head = _remove_hop_by_hop(b"", head)
    if named:
        # Names from a peer, at most one head's worth: not kept. A "*" is only a character here.
        names = b"|".join(re.escape(name) for name in sorted(named))
        head = re.sub(rb"\r\n(?:" + names + rb"):[^\r]*+", b"", head, flags=re.IGNORECASE)
    return head


def forwarded_request_head(
    request: Request,
    extra: bytes = b"",
    *,
    without: Callable[[bytes], bytes] | None = None,
    upgrade: bool = False,
) -> bytes:
    """The head to send to a backend, blank line included.

    `extra`: whole field lines, each opened by CR LF, that the caller answers for. `without`: takes
    more fields out, as `field_remover` makes it (to replace Host, or the X-Forwarded- fields that
    `request.forwarded` tells of). `upgrade`: pass the client's Upgrade on; otherwise it ends here.
    The version becomes 1.1, the target a path; a chunked body is announced as such, and so is it
    when the client takes trailers.
    """
    head = request.head
    if request.hop_by_hop:
        accepts_trailers = _accepts_trailers(head) is not None
        head = _end_to_end(head)
        if accepts_trailers:
            # Ours to say (RFC 9110 section 10.1.4): we pass trailers on.
            extra += b"\r\nConnection: TE\r\nTE: trailers"
        if request.chunked:
            extra += b"\r\nTransfer-Encoding: chunked"
        if upgrade and request.upgrade is not None:
            extra += b"\r\nConnection: Upgrade\r\nUpgrade: " + request.upgrade
    if without is not None:
        head = without(head)
    if not request.minor_version or not request.target.startswith(b"/"):
        _, newline, lines = head.partition(b"\r\n")
        head = b"%b %b HTTP/1.1%b%b" % (request.method, request.path, newline, lines)
        if not request.minor_version and request.host and request.header(b"host") is None:
            # HTTP/1.1 wants a Host, and the absolute target that named it is gone.
            extra = b"\r\nHost: " + request.host + extra
    return b"%b%b\r\n\r\n" % (head, extra)


def forwarded_response_head(
    response: ResponseHead,
    extra: bytes = b"",
    *,
    without: Callable[[bytes], bytes] | None = None,
    upgrade: bool = False,
) -> bytes:
    """The head to send to a client, blank line included. Arguments as for requests.

    Framing is the caller's: a chunked or until-close body needs `Transfer-Encoding: chunked` in
    `extra` when the client speaks HTTP/1.1, and the end of the connection when it does not.
    """
    head = response.head
    if response.hop_by_hop:
        head = _end_to_end(head)
    if upgrade and response.upgrade is not None:
        extra += b"\r\nConnection: Upgrade\r\nUpgrade: " + response.upgrade
    if without is not None:
        head = without(head)
    if not response.minor_version:
        head = b"HTTP/1.1" + head[8:]
    return b"%b%b\r\n\r\n" % (head, extra)
