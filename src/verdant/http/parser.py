"""Parser: bytes to heads, and chunked bodies to their data; strict by construction.

Place     http, pure: bytes in, values out.
Promise   one reading only. What another parser might read differently is refused: bare LF or CR,
          folded lines, a blank before the colon, two framings, repeated or odd lengths, a missing
          or repeated Host, odd chunk sizes. What is accepted, llhttp and h11 accept too and read
          alike. A hostile head costs one pass over it.
Not here  waiting for more (connection.py); routing; answering.

    head bytes ──▶ one expression for a plain message, whole ──▶ done
                     └─ not plain: one for the grammar ──▶ one for the few fields that matter
                                    └─ no match: look again, slowly, for the reason

A plain message is HTTP/1.1, frames itself by nothing but one Content-Length (answers) or has no
body (requests), and says no more of its connection than keep-alive. Most are; a plain head is
read by one match, and what is said of it there must be what the longer way would say.

Why expressions: a Python call per field is what the peers' parsers cost. All repetitions are
possessive, so nothing is ever tried twice. Letters of either case are spelled as classes, [Hh]:
`re.IGNORECASE` would make every alternative a recursive attempt, and these are tried for every
field. Sources: RFC 9112 (syntax, framing), RFC 9110 sections 5 to 7 (fields, Host, Connection).
"""

from __future__ import annotations

import re
from ipaddress import AddressValueError, IPv6Address
from typing import TYPE_CHECKING

from verdant.http.errors import BadRequest, BadResponse, HttpError
from verdant.http.messages import Request, ResponseHead, split_absolute_target

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "CHUNK_LINE_BYTES_MAX",
    "HEADER_COUNT_MAX",
    "HEAD_BYTES_MAX",
    "TARGET_BYTES_MAX",
    "TRAILER_BYTES_MAX",
    "ChunkedDecoder",
    "parse_request_head",
    "parse_response_head",
]

# Browsers with many cookies send some 16 KiB; beyond four times that a head is an attack or a bug.
HEAD_BYTES_MAX = 64 * 1024
# Real requests have 10 to 40 fields.
HEADER_COUNT_MAX = 128
# What RFC 9112 section 3 recommends to support at least.
TARGET_BYTES_MAX = 8000
# 15 digits are a petabyte: no 64-bit sum overflows, and `int` stays cheap.
LENGTH_DIGITS_MAX = 15
# Chunk sizes are hexadecimal; 8 digits are 4 GiB in one chunk.
CHUNK_SIZE_DIGITS_MAX = 8
# A chunk's size line with its extensions, and all trailers together.
CHUNK_LINE_BYTES_MAX = 4096
TRAILER_BYTES_MAX = 16 * 1024
# All extensions of a body together: a byte of data with four thousand of extensions, again and
# again, would make us read without end for nothing. Real ones are a signature per chunk at most.
EXTENSION_BYTES_MAX = 256 * 1024
PORT_MAX = 65535
# Host fields seen lately, so that the usual ones are checked once: a bound on memory that clients
# choose. Emptied when full: simpler than ageing, and a busy host is back at its next request.
HOSTS_REMEMBERED_MAX = 4096
HOST_BYTES_REMEMBERED_MAX = 128

_TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]++"
_TEXT = rb"[\t -~\x80-\xff]*+"
_FIELDS = rb"(?:\r\n" + _TOKEN + rb":" + _TEXT + rb")*+"


def _any_case(name: bytes) -> bytes:
    return b"".join(
        b"[%c%c]" % (char - 32, char) if 97 <= char <= 122 else re.escape(bytes((char,)))
        for char in name
    )


# No "#": a fragment is no part of a target, and servers differ in what they make of one.
_match_request = re.compile(
    rb"(?!CONNECT )(" + _TOKEN + rb') ([!"$-~]++) HTTP/1\.([01])' + _FIELDS
).fullmatch
_match_response = re.compile(
    rb"HTTP/1\.([01]) ([1-9][0-9][0-9])(?: " + _TEXT + rb")?+" + _FIELDS
).fullmatch

# The fields that decide framing and routing, that end at this connection, or say who forwarded.
# Those that decide are also known with "_" for "-": WSGI and CGI backends cannot tell them apart
# (RFC 3875 section 4.1.18).
_MARKED = b"|".join(
    (
        *(
            _any_case(name)
            for name in (
                b"host",
                b"connection",
                b"te",
                b"trailer",
                b"upgrade",
                b"expect",
                b"keep-alive",
                b"forwarded",
            )
        ),
        _any_case(b"content") + rb"[-_]" + _any_case(b"length"),
        _any_case(b"transfer") + rb"[-_]" + _any_case(b"encoding"),
        _any_case(b"proxy-") + _TOKEN,
        rb"[Xx][-_]"
        + _any_case(b"forwarded")
        + rb"(?:[-_]"
        + _TOKEN
        + rb")?+|[Xx][-_]"
        + _any_case(b"real")
        + rb"[-_]"
        + _any_case(b"ip"),
    )
)
_find_marked = re.compile(rb"\r\n(" + _MARKED + rb"):[ \t]*+([^\r]*+)").findall

# Greedy where the rest is possessive, as `re` before 3.11.5 misses matches of a possessive group
# that holds alternatives. Giving fields back leads nowhere, for no field can be read in two ways:
# a head that does not match costs two passes.
_PLAIN_FIELDS = rb"(?:\r\n(?!(?:" + _MARKED + rb"):)" + _TOKEN + rb":" + _TEXT + rb")*"
_MAYBE_KEEP_ALIVE = (
    rb"(?:(\r\n"
    + _any_case(b"connection")
    + rb":[ \t]*+"
    + _any_case(b"keep-alive")
    + rb")"
    + _PLAIN_FIELDS
    + rb")?"
)
_match_plain_request = re.compile(
    rb"(?!CONNECT )("
    + _TOKEN
    + rb') (/[!"$-~]*+) HTTP/1\.1'
    + _PLAIN_FIELDS
    + rb"\r\n"
    + _any_case(b"host")
    + rb":[ \t]*+([^\r\t ]++)"
    + _PLAIN_FIELDS
    + _MAYBE_KEEP_ALIVE
).fullmatch
_match_plain_response = re.compile(
    rb"HTTP/1\.1 ([2-9][0-9][0-9])(?: "
    + _TEXT
    + rb")?+"
    + _PLAIN_FIELDS
    + rb"\r\n"
    + _any_case(b"content-length")
    + rb":[ \t]*+([0-9]{1,%d}+)" % LENGTH_DIGITS_MAX
    + _PLAIN_FIELDS
    + _MAYBE_KEEP_ALIVE
).fullmatch

# A host as routing knows it: a name or IPv4 address, or an IPv6 address in brackets; then a port.
# No empty label: "a.." would be cut to "a" at each place that takes a closing dot off.
_match_host = re.compile(
    rb"(\[[0-9A-Fa-f:.]++\]|[0-9A-Za-z_-]++(?:\.[0-9A-Za-z_-]++)*+\.?)(?::([0-9]{0,5}+))?+"
).fullmatch
# Protocols that carry HTTP again: behind them requests would pass that nobody here reads. RFC 9113
# took h2c away; RFC 9110 section 7.8 lets a server ignore any Upgrade.
_names_http = re.compile(
    rb"(?:\A|,)[ \t]*+(?:h2c?|HTTP|TLS)[ \t]*+(?:/|,|\Z)", re.IGNORECASE
).search
_is_digits = re.compile(rb"[0-9]++").fullmatch

_hosts: dict[bytes, bytes] = {}


def parse_request_head(head: bytes, header_count_max: int = HEADER_COUNT_MAX) -> Request:
    """The request whose head is `head`, which is without the blank line that ends it.

    `header_count_max`: how many fields it may have. Raises `BadRequest`. Does not park.
    """
    if head.count(b"\r\n") > header_count_max:
        raise BadRequest(431, f"There are more than {header_count_max} header fields.")
    match = _match_plain_request(head)
    if match is None:
        return _parse_other_request(head)
    method, target, host, keep_alive = match.groups()
    if keep_alive is not None:
        head = head[: match.start(4)] + head[match.end(4) :]
    if len(target) > TARGET_BYTES_MAX:
        raise _long_target()
    request = Request(head, method, target)
    request.host = _hosts.get(host) or _routing_host(host)
    request.plain = True
    return request


def _long_target() -> BadRequest:
    return BadRequest(414, f"The target is longer than {TARGET_BYTES_MAX} bytes.")


def _parse_other_request(head: bytes) -> Request:
    match = _match_request(head)
    if match is None:
        raise _why_not_a_request(head)
    method, target, minor = match.groups()
    request = Request(head, method, target)
    if minor == b"0":
        request.minor_version = 0
        request.keep_alive = False
    if len(target) > TARGET_BYTES_MAX:
        raise _long_target()
    hosts = 0
    for name, value in _find_marked(head):
        # The only marked field of four letters.
        if len(name) == 4:
            hosts += 1
            request.host = _hosts.get(value) or _routing_host(value)
        else:
            _apply_request_field(request, name.lower(), value.rstrip(b" \t"))
    if hosts != 1 and (hosts or request.minor_version):
        raise BadRequest(400, "There must be exactly one Host field.")
    if request.hop_by_hop:
        _check_framing(request)
    request.has_body = request.chunked or bool(request.content_length)
    if request.has_body:
        # What follows is this body first and another protocol after it: the one thing too many.
        request.upgrade = None
        if method == b"TRACE":
            # RFC 9110 section 9.3.8.
            raise BadRequest(400, "TRACE may not have a body.")
    if target[0] != 0x2F:
        _check_odd_target(request)
    return request


def _apply_request_field(  # noqa: C901 - one branch per field; a table of calls costs more
    request: Request, name: bytes, value: bytes
) -> None:
    if name == b"content-length":
        if request.content_length is not None:
            raise BadRequest(400, "The Content-Length is given more than once.")
        request.content_length = _length_of(value)
        if request.content_length is None:
            raise BadRequest(400, "The Content-Length is not one plain number.")
        return
    if name == b"forwarded" or name.startswith((b"x-", b"x_")):
        request.forwarded = True
        return
    if b"_" in name:
        raise BadRequest(400, "A field that frames the message is spelled with an underscore.")
    request.hop_by_hop = True
    if name == b"connection":
        _apply_connection(request, value)
    elif name == b"transfer-encoding":
        if request.chunked:
            raise BadRequest(400, "The Transfer-Encoding is given more than once.")
        if not request.minor_version:
            raise BadRequest(400, "HTTP/1.0 has no Transfer-Encoding.")
        if value.lower() != b"chunked":
            raise BadRequest(501, "The only Transfer-Encoding understood here is chunked.")
        request.chunked = True
    elif name == b"expect":
        if value.lower() != b"100-continue":
            raise BadRequest(417, "The only expectation understood here is 100-continue.")
        request.expect_continue = request.minor_version == 1
    elif name == b"upgrade":
        request.upgrade = value if request.upgrade is None else request.upgrade + b", " + value


def _check_framing(request: Request) -> None:
    if request.chunked and request.content_length is not None:
        raise BadRequest(400, "Both Content-Length and Transfer-Encoding are given.")
    if request.upgrade is not None and (
        not _asks_for_upgrade(request) or _names_http(request.upgrade)
    ):
        request.upgrade = None


def _asks_for_upgrade(message: Request | ResponseHead) -> bool:
    # RFC 9110 section 7.8: Upgrade counts only when Connection names it, and not in HTTP/1.0.
    return bool(message.minor_version) and any(
        b"upgrade" in _options(value) for value in message.headers.get_all(b"connection")
    )


def _options(value: bytes) -> list[bytes]:
    return [option.strip(b" \t") for option in value.lower().split(b",")]


def _apply_connection(message: Request | ResponseHead, value: bytes) -> None:
    # Several Connection fields count as one list, and "close" wins wherever it stands: once
    # keep_alive is False for a 1.1 message nothing below sets it again.
    options = _options(value)
    if b"close" in options:
        message.keep_alive = False
    elif b"keep-alive" in options and not message.minor_version:
        message.keep_alive = not any(
            b"close" in _options(other) for other in message.headers.get_all(b"connection")
        )


def _length_of(value: bytes) -> int | None:
    if len(value) > LENGTH_DIGITS_MAX or _is_digits(value) is None:
        return None
    return int(value)


def _routing_host(value: bytes) -> bytes:
    match = _match_host(value.rstrip(b" \t"))
    if match is None or int(match[2] or b"0") > PORT_MAX:
        raise BadRequest(400, "The Host is not a host name or address.")
    host: bytes = match[1].lower()
    if host.startswith(b"["):
        try:
            IPv6Address(host[1:-1].decode("ascii"))
        except AddressValueError:
            raise BadRequest(400, "The Host is not an IPv6 address.") from None
    host = host.removesuffix(b".")
    if len(value) <= HOST_BYTES_REMEMBERED_MAX:
        if len(_hosts) >= HOSTS_REMEMBERED_MAX:
            _hosts.clear()
        _hosts[value] = host
    return host


def _check_odd_target(request: Request) -> None:
    if request.target == b"*":
        if request.method != b"OPTIONS":
            raise BadRequest(400, "Only OPTIONS may have the target *.")
        return
    match = split_absolute_target(request.target)
    if match is None:
        raise BadRequest(400, "The target is neither a path nor a URL.")
    # RFC 9112 section 3.2: a client must send the target's authority as its Host, and section
    # 3.2.2 lets the target count where they differ. Two names for one request would let us and a
    # backend disagree, so they must be the same, port included.
    given = request.header(b"host")
    if given is not None and given.lower() != match[1].lower():
        raise BadRequest(400, "The target and the Host field name different hosts.")
    request.host = _routing_host(match[1])


_is_version = re.compile(rb"HTTP/[0-9]\.[0-9]").fullmatch
_has_stray_line_end = re.compile(rb"\r(?!\n)|(?<!\r)\n").search
_has_folded_line = re.compile(rb"\r\n[ \t]").search
_has_blank_before_colon = re.compile(rb"\r\n[^:\r]*[ \t]:").search


def _why_not_a_request(head: bytes) -> BadRequest:
    if _has_stray_line_end(head):
        return BadRequest(400, "A line does not end in CR LF.")
    parts = head.partition(b"\r\n")[0].split(b" ")
    if len(parts) != 3 or not all(parts):
        return BadRequest(400, "The request line is not METHOD TARGET VERSION.")
    method, _, version = parts
    if _is_version(version) is None:
        return BadRequest(400, "The request line does not end in an HTTP version.")
    if version not in (b"HTTP/1.0", b"HTTP/1.1"):
        return BadRequest(505, "Only HTTP/1.1 and HTTP/1.0 are spoken here.")
    if method == b"CONNECT":
        return BadRequest(501, "CONNECT is not offered here.")
    if _has_folded_line(head):
        return BadRequest(400, "A header field is folded over two lines.")
    if _has_blank_before_colon(head):
        return BadRequest(400, "A header field has a blank before its colon.")
    return BadRequest(400, "The head has bytes that HTTP does not allow where they are.")


def parse_response_head(
    head: bytes, request_method: bytes = b"GET", header_count_max: int = HEADER_COUNT_MAX
) -> ResponseHead:
    """The answer whose head is `head`, which is without the blank line that ends it.

    `request_method`: what was asked; an answer to HEAD has no body whatever its fields say.
    `header_count_max`: how many fields it may have. Raises `BadResponse`. Does not park.
    """
    if head.count(b"\r\n") > header_count_max:
        raise BadResponse(f"the answer has more than {header_count_max} header fields")
    match = _match_plain_response(head)
    if match is not None:
        status_text, length, keep_alive = match.groups()
        if keep_alive is not None:
            head = head[: match.start(3)] + head[match.end(3) :]
        response = ResponseHead(head, int(status_text))
        response.content_length = int(length)
        response.plain = True
    else:
        response = _parse_other_response(head)
    status = response.status
    if status < 200 or status in (204, 304) or request_method == b"HEAD":
        # RFC 9112 section 6.3: no body, whatever the fields say.
        response.chunked = False
        response.content_length = 0
    elif response.content_length is None and not response.chunked:
        response.keep_alive = False
    return response


def _parse_other_response(head: bytes) -> ResponseHead:
    match = _match_response(head)
    if match is None:
        raise BadResponse("the answer's head is not well-formed HTTP/1.1")
    minor, status_text = match.groups()
    response = ResponseHead(head, int(status_text))
    if minor == b"0":
        response.minor_version = 0
        response.keep_alive = False
    for name, value in _find_marked(head):
        _apply_response_field(response, name.lower(), value.rstrip(b" \t"))
    if response.hop_by_hop:
        if response.chunked and response.content_length is not None:
            raise BadResponse("the answer has both Content-Length and Transfer-Encoding")
        if response.upgrade is not None and not _asks_for_upgrade(response):
            response.upgrade = None
    return response


def _apply_response_field(response: ResponseHead, name: bytes, value: bytes) -> None:
    if name == b"content-length":
        if response.content_length is not None:
            raise BadResponse("the answer's Content-Length is given more than once")
        response.content_length = _length_of(value)
        if response.content_length is None:
            raise BadResponse("the answer's Content-Length is not one plain number")
    elif name == b"transfer-encoding":
        if value.lower() != b"chunked" or response.chunked or not response.minor_version:
            raise BadResponse("the answer's Transfer-Encoding is not chunked, once, in HTTP/1.1")
        response.chunked = True
        response.hop_by_hop = True
    elif name == b"connection":
        _apply_connection(response, value)
        response.hop_by_hop = True
    elif name == b"upgrade":
        response.upgrade = value
        response.hop_by_hop = True
    elif name in (b"te", b"trailer", b"keep-alive") or name.startswith(b"proxy-"):
        response.hop_by_hop = True


# Extensions in the plain form of RFC 9112 section 7.1.1; without its optional blanks and escapes,
# which nobody sends and parsers read differently.
_match_chunk_line = re.compile(
    rb"([0-9A-Fa-f]++)(?:;"
    + _TOKEN
    + rb"(?:=(?:"
    + _TOKEN
    + rb'|"[\t !#-\[\]-~\x80-\xff]*+"))?+)*+'
).fullmatch
_is_trailer_line = re.compile(_TOKEN + rb":" + _TEXT).fullmatch
# RFC 9110 section 6.5.1 forbids these in trailers, and llhttp and h11 read on by them.
_is_framing = re.compile(
    rb"(?:content[-_]length|transfer[-_]encoding|connection|upgrade):", re.IGNORECASE
).match

_SIZE, _DATA, _DATA_END, _TRAILERS = range(4)


def _bad_chunk_in_request(reason: str) -> HttpError:
    return BadRequest(400, reason)


class ChunkedDecoder:
    """Takes the bytes of a chunked body as they come, gives its data back (RFC 9112 section 7.1).

    Chunk extensions and trailers are checked and bounded; extensions are dropped, trailers kept in
    `trailers`, as lines each opened by CR LF. `fault` makes the error: of a request's sender by
    default. `finished` is True after the last chunk and its trailers. `framing_trailers`:
    those that would frame the message are let pass, for the caller to drop.
    """

    __slots__ = (
        "_extension_bytes",
        "_fault",
        "_framing_trailers",
        "_left",
        "_pending",
        "_state",
        "finished",
        "trailers",
    )

    def __init__(
        self,
        fault: Callable[[str], HttpError] = _bad_chunk_in_request,
        *,
        framing_trailers: bool = False,
    ) -> None:
        self.finished = False
        self._framing_trailers = framing_trailers
        self._fault = fault
        self._pending = b""
        self._left = 0
        self._state = _SIZE
        self.trailers = b""
        self._extension_bytes = 0

    def feed(self, data: bytes) -> list[bytes]:
        """The pieces of body that `data` completes or continues, none of them empty.

        Raises what `fault` makes, for anything odd. Does not park.
        """
        pieces: list[bytes] = []
        if self._pending:
            data = self._pending + data
            self._pending = b""
        position, end = 0, len(data)
        while position < end and not self.finished:
            if self._state == _DATA:
                piece = data[position : position + self._left]
                pieces.append(piece)
                position += len(piece)
                self._left -= len(piece)
                if not self._left:
                    self._state = _DATA_END
                continue
            line_end = data.find(b"\r\n", position, position + CHUNK_LINE_BYTES_MAX + 2)
            if line_end < 0:
                self._check_unfinished_line(data, position)
                break
            self._take_line(data[position:line_end])
            position = line_end + 2
        self._pending = data[position:]
        return pieces

    def rest(self) -> bytes:
        """What was fed beyond the end of the body: the next message's beginning."""
        rest, self._pending = self._pending, b""
        return rest

    def _check_unfinished_line(self, data: bytes, position: int) -> None:
        if len(data) - position > CHUNK_LINE_BYTES_MAX:
            raise self._fault(f"A line between chunks is over {CHUNK_LINE_BYTES_MAX} bytes.")
        if data.find(b"\n", position) >= 0:
            raise self._fault("A line between chunks does not end in CR LF.")
        if self._state == _DATA_END and data[position:] != b"\r":
            raise self._fault("A chunk is longer than its size says.")

    def _take_line(self, line: bytes) -> None:
        if self._state == _DATA_END:
            if line:
                raise self._fault("A chunk is longer than its size says.")
            self._state = _SIZE
        elif self._state == _TRAILERS:
            self._take_trailer(line)
        else:
            match = _match_chunk_line(line)
            if match is None or len(match[1]) > CHUNK_SIZE_DIGITS_MAX:
                raise self._fault("A chunk's size is not a plain hexadecimal number.")
            self._extension_bytes += len(line) - len(match[1])
            if self._extension_bytes > EXTENSION_BYTES_MAX:
                raise self._fault(f"The chunk extensions are over {EXTENSION_BYTES_MAX} bytes.")
            self._left = int(match[1], 16)
            self._state = _DATA if self._left else _TRAILERS

    def _take_trailer(self, line: bytes) -> None:
        if not line:
            self.finished = True
            return
        if len(self.trailers) + len(line) > TRAILER_BYTES_MAX:
            raise self._fault(f"The trailers are over {TRAILER_BYTES_MAX} bytes.")
        if _is_trailer_line(line) is None:
            raise self._fault("A trailer is not a header field.")
        if not self._framing_trailers and _is_framing(line):
            raise self._fault("A trailer has a field that frames the message.")
        self.trailers += b"\r\n" + line
