"""Times: what people write for a moment or a span, as nanoseconds.

Place     logs/query, pure: the present is an argument.

    15m  2h  3d               so long ago; as a span, so long
    now                       the present
    2026-11-23T10:00          this machine's zone, or the one written behind it
    1764000000                seconds since 1970
"""

from __future__ import annotations

import re
from datetime import datetime

from verdant.logs.errors import BadQuery

__all__ = ["parse_span", "parse_time"]

NS = 1_000_000_000
_UNITS_S = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_span = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,3})?)(ms|s|m|h|d|w)", re.ASCII).fullmatch
_epoch = re.compile(r"[0-9]{9,10}(?:\.[0-9]{1,9})?", re.ASCII).fullmatch

# Beyond it a position in time does not fit into 64 bits.
SPAN_NS_MAX = 200 * 366 * 86_400 * NS


def parse_span(text: str, position: int = 0) -> int:
    """So many nanoseconds, at least one. Raises `BadQuery` at `position`."""
    match = _span(text)
    if match is not None:
        span_ns = int(float(match[1]) * _UNITS_S[match[2]] * NS)
        if 0 < span_ns <= SPAN_NS_MAX:
            return span_ns
    raise BadQuery(f"expected a span of time, as in 30s, 1m, 2h or 1d, not {text!r}", position)


def parse_time(text: str, now_ns: int, position: int = 0) -> int:
    """The moment that `text` says. Raises `BadQuery` at `position`."""
    if text == "now":
        return now_ns
    match = _span(text)
    if match is not None:
        return now_ns - int(float(match[1]) * _UNITS_S[match[2]] * NS)
    if _epoch(text):
        seconds, _, fraction = text.partition(".")
        # Not through a float, which has no room for nanoseconds.
        return int(seconds) * NS + int(fraction.ljust(9, "0"))
    try:
        return int(datetime.fromisoformat(text).timestamp() * NS)
    except (ValueError, OverflowError, OSError):
        raise BadQuery(
            f"{text!r} is not a time: expected 15m, 2h, 3d, now, 2026-11-23T10:00 or 1764000000",
            position,
        ) from None
