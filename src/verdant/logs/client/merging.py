"""Merging: lines of several servers as one sequence.

Place     logs/client, pure.
Promise   whatever comes in which order, what goes out is in order of time and identity, and each
          line once. A line goes out as soon as no server can come with one before it.
"""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from verdant.logs.protocol import Row

__all__ = ["Merging"]


class _Reversed:
    """A place that is compared the other way round, for a heap with the newest on top."""

    __slots__ = ("place",)

    def __init__(self, place: tuple[Any, ...]) -> None:
        self.place = place

    def __lt__(self, other: _Reversed) -> bool:
        return other.place < self.place


class Merging:
    """Lines of `sources`, each of which brings its own in order; newest first or oldest first."""

    def __init__(self, sources: Iterable[str], *, is_newest: bool) -> None:
        self._is_newest = is_newest
        self._heap: list[tuple[Any, int, Row]] = []
        # By source that may bring more: the time of the last that it looked at. None: of nothing.
        self._reached: dict[str, int | None] = dict.fromkeys(sources)
        self._count = 0
        self._last: tuple[Any, ...] | None = None

    def add(self, source: str, rows: Iterable[Row], reached_ns: int | None) -> None:
        """Take in lines; `reached_ns`: what comes later is beyond it, or at that very time."""
        for row in rows:
            key = _Reversed(row.place) if self._is_newest else row.place
            # A number of its own keeps rows out of the comparison.
            self._count += 1
            heapq.heappush(self._heap, (key, self._count, row))
            if reached_ns is None:
                self._reached[source] = row.t
        if reached_ns is not None:
            self._reached[source] = reached_ns

    def finish(self, source: str) -> None:
        """Nothing more comes from `source`."""
        self._reached.pop(source, None)

    @property
    def open(self) -> bool:
        """True while a source may bring more."""
        return bool(self._reached)

    def take(self) -> list[Row]:
        """Lines that nothing can come before any more."""
        found: list[Row] = []
        while self._heap and self._is_final(self._heap[0][2].t):
            row = heapq.heappop(self._heap)[2]
            # The same line of two servers stands side by side.
            if row.place != self._last:
                self._last = row.place
                found.append(row)
        return found

    def _is_final(self, t: int) -> bool:
        for reached in self._reached.values():
            if reached is None or (t <= reached if self._is_newest else t >= reached):
                return False
        return True
