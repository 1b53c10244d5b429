"""Names: the hosts of the table in order, for paging.

Place     balancer/api; hosts.py keeps one.
Promise   a page costs what is on it, whatever the table's size; the order is made once, in pieces
          that leave others their turn, and kept up with the feed of changes.

Sorting a million names for every page would stop the hub for half a second each time; keeping
them sorted costs one insertion a change, a move of some megabytes at the worst.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from heapq import merge
from typing import TYPE_CHECKING

from verdant.core import sleep
from verdant.sync import Lock

if TYPE_CHECKING:
    from collections.abc import Mapping

    from verdant.balancer.changefeed import ChangeFeed
    from verdant.balancer.rules import Rule

__all__ = ["SortedNames"]

# How many names are sorted, or merged, before others get their turn: a few milliseconds.
NAMES_PER_PIECE = 10_000


class SortedNames:
    """The names of `rules`, in order. Made at the first question."""

    def __init__(self, rules: Mapping[str, Rule], feed: ChangeFeed) -> None:
        self._rules = rules
        self._feed = feed
        self._names: list[str] = []
        self._version: int | None = None
        # Two who ask at once must not build two orders.
        self._lock = Lock()

    def after(self, name: str, count: int) -> list[str]:
        """At most `count` names that come after `name`. Parks the first time."""
        with self._lock:
            self._catch_up()
            start = bisect_right(self._names, name)
            return self._names[start : start + count]

    def _catch_up(self) -> None:
        changes = None if self._version is None else self._feed.since(self._version)
        while changes is None or any(change.put is None for change in changes):
            self._build()
            changes = self._feed.since(self._version or 0)
        for change in changes:
            for host in change.deleted or ():
                self._remove(host)
            for host in change.put or ():
                self._add(host)
        self._version = self._feed.version

    def _build(self) -> None:
        self._version = self._feed.version
        names = list(self._rules)
        pieces = []
        for start in range(0, len(names), NAMES_PER_PIECE):
            pieces.append(sorted(names[start : start + NAMES_PER_PIECE]))
            sleep()
        merged: list[str] = []
        for name in merge(*pieces):
            merged.append(name)
            if not len(merged) % NAMES_PER_PIECE:
                sleep()
        self._names = merged

    def _add(self, name: str) -> None:
        position = bisect_left(self._names, name)
        if self._names[position : position + 1] != [name]:
            insort(self._names, name)

    def _remove(self, name: str) -> None:
        position = bisect_left(self._names, name)
        if self._names[position : position + 1] == [name]:
            del self._names[position]
