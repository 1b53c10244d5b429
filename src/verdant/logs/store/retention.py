"""Retention: which apps' lines leave which segments, decided from what is known of them.

Place     logs/store, pure. upkeep.py acts on it.
Promise   a segment loses an app's lines when all of them are past one of the app's bounds, never
          before; the store's own bound takes whole segments, the oldest first.

Bounds are kept to a segment's grain (half a million lines, or an hour of a quiet server): a line
may stay that much longer. To the line would mean to write every segment again each second.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from verdant.logs.config import EVERY_APP

if TYPE_CHECKING:
    from collections.abc import Sequence

    from verdant.logs.config import RetentionRule
    from verdant.logs.store.segment import Segment

__all__ = ["expired_apps", "oldest_over"]

NS = 1_000_000_000


def expired_apps(
    segments: Sequence[Segment], rules: Sequence[RetentionRule], now_ns: int
) -> dict[Segment, set[str]]:
    """By segment, the apps whose lines in it are all past a bound. `segments`: oldest first."""
    by_app = {rule.app: rule for rule in rules}
    found: dict[Segment, set[str]] = {}
    kept_lines: dict[str, int] = defaultdict(int)
    kept_bytes: dict[str, float] = defaultdict(float)
    for segment in reversed(segments):
        gone = set()
        for app, share in segment.shares.items():
            rule = by_app.get(app) or by_app.get(EVERY_APP)
            if rule is None:
                continue
            # A clock that ran ahead must not keep lines for ever.
            newest_ns = min(share.t_max, segment.received_max)
            if (
                (rule.age_s_max and newest_ns < now_ns - rule.age_s_max * NS)
                or (rule.lines_max and kept_lines[app] >= rule.lines_max)
                or (rule.bytes_max and kept_bytes[app] >= rule.bytes_max)
            ):
                gone.add(app)
                continue
            kept_lines[app] += share.lines
            # Its share of the file: columns are not kept by app.
            kept_bytes[app] += segment.bytes * share.lines / max(1, segment.lines)
        if gone:
            found[segment] = gone
    return found


def oldest_over(segments: Sequence[Segment], bytes_max: int) -> list[Segment]:
    """The oldest of `segments` without which the rest has at most `bytes_max`.

    The last one stays, however large.
    """
    total = sum(segment.bytes for segment in segments)
    found = []
    for segment in segments[:-1]:
        if total <= bytes_max:
            break
        total -= segment.bytes
        found.append(segment)
    return found
