"""Times: what people write for a moment, as nanoseconds since 1970.

Place     logs/query, pure: the present is an argument.

    15m  2h  3d               so long ago
    2026-11-23T10:00          this machine's zone, or the one written behind it
    1764000000                seconds since 1970
"""

from __future__ import annotations

import re
from datetime import datetime

from verdant.logs.errors import BadQuery

__all__ = ["parse_time"]

NS = 1_000_000_000
_UNITS_S = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_ago = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,3})?)(ms|s|m|h|d|w)", re.ASCII).fullmatch
_epoch = re.compile(r"[0-9]{9,10}(?:\.[0-9]{1,9})?", re.ASCII).fullmatch


def parse_time(text: str, now_ns: int, position: int = 0) -> int:
    """The moment that `text` says. Raises `BadQuery` at `position`."""
    match = _ago(text)
    if match is not None:
        return now_ns - int(float(match[1]) * _UNITS_S[match[2]] * NS)
    if _epoch(text):
        return int(float(text) * NS)
    try:
        return int(datetime.fromisoformat(text).timestamp() * NS)
    except (ValueError, OverflowError, OSError):
        raise BadQuery(
            f"{text!r} is not a time: write 15m, 2h, 3d, 2026-11-23T10:00 or 1764000000", position
        ) from None
