"""Fields: what an application says of its answer, checked and made bytes.

Place     wsgi, pure; answer.py sends what comes out.
Promise   nothing that an application passes can end a line early or frame the body twice: such a
          status or field is a ValueError in its `start_response`.
Not here  Date, Connection and framing (answer.py).

What applications send repeats itself: lines are remembered, and a usual answer costs one look into
a dictionary per field.
"""

from __future__ import annotations

import re
from typing import NamedTuple

__all__ = ["CLOSE", "DATE", "LENGTH", "PLAIN", "FieldLine", "field_line", "status_line"]

# Kinds of fields that mean something to the server.
PLAIN, LENGTH, DATE, CLOSE = range(4)

# Bounds on what is remembered; emptied when full. Values may come from clients (a cookie, a path).
LINES_REMEMBERED_MAX = 1024
VALUE_CHARS_REMEMBERED_MAX = 256
# A petabyte: beyond it a length is a mistake.
LENGTH_DIGITS_MAX = 15

_is_status = re.compile(r"([1-9][0-9][0-9])(?: [\t -~\x80-\xff]*)?", re.ASCII).fullmatch
_is_name = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+").fullmatch
_is_value = re.compile(r"[\t -~\x80-\xff]*").fullmatch
_is_length = re.compile(r"[0-9]+").fullmatch

# They are about one connection, which is the server's (RFC 9110 section 7.6.1, PEP 3333).
_HOP_BY_HOP = frozenset(
    {
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "trailers",
        "transfer-encoding",
        "upgrade",
    }
)


class FieldLine(NamedTuple):
    """A field as it goes out, opened by its CR LF (b"" for one that the server writes itself)."""

    kind: int
    line: bytes
    number: int


_statuses: dict[str, tuple[int, bytes]] = {}
_lines: dict[tuple[str, str], FieldLine] = {}


def status_line(status: str) -> tuple[int, bytes]:
    """The code and the line of a status such as "200 OK". Raises ValueError, TypeError."""
    found = _statuses.get(status)
    if found is None:
        match = _is_status(status)
        if match is None or status[0] == "1":
            raise ValueError(f"{status!r} cannot be the status of an answer: write it as '200 OK'")
        found = int(match[1]), b"HTTP/1.1 " + status.encode("latin-1")
        if len(_statuses) >= LINES_REMEMBERED_MAX:
            _statuses.clear()
        if len(status) <= VALUE_CHARS_REMEMBERED_MAX:
            _statuses[status] = found
    return found


def field_line(pair: tuple[str, str]) -> FieldLine:
    """One of the pairs given to `start_response`. Raises ValueError, TypeError."""
    found = _lines.get(pair)
    if found is None:
        found = _make_line(*pair)
        if len(_lines) >= LINES_REMEMBERED_MAX:
            _lines.clear()
        if len(pair[1]) <= VALUE_CHARS_REMEMBERED_MAX:
            _lines[pair] = found
    return found


def _make_line(name: str, value: str) -> FieldLine:
    if _is_name(name) is None:
        raise ValueError(f"{name!r} cannot be the name of a header field")
    if _is_value(value) is None:
        raise ValueError(f"{value!r} cannot be the value of the header field {name!r}")
    line = f"\r\n{name}: {value.strip(chr(32))}".encode("latin-1")
    lower = name.lower()
    if lower == "content-length":
        length = value.strip()
        if len(length) > LENGTH_DIGITS_MAX or _is_length(length) is None:
            raise ValueError(f"{value!r} cannot be a Content-Length: it is one plain number")
        return FieldLine(LENGTH, b"", int(length))
    if lower == "date":
        return FieldLine(DATE, line, 0)
    if lower == "connection":
        # Programs say "close" to mean the last answer, and "keep-alive" to mean nothing new.
        options = {option.strip() for option in value.lower().split(",")}
        if not options <= {"close", "keep-alive", ""}:
            raise ValueError("of Connection an application may say close or keep-alive alone")
        return FieldLine(CLOSE if "close" in options else PLAIN, b"", 0)
    if lower in _HOP_BY_HOP:
        raise ValueError(f"{name} is the server's to say, not an application's (PEP 3333)")
    return FieldLine(PLAIN, line, 0)
