"""Ranges: which batches a server has, as ranges of numbers for each client's life.

Place     logs, pure: servers refuse what they know, readers find what two servers have.
Promise   `add` and `in` agree with a set of all identities, up to `RANGES_MAX` gaps in one life:
          beyond it the lowest range is forgotten, and a batch in it would be stored again.

A client numbers its batches without gaps and most of them go to one server, so a life of a million
batches is a handful of ranges where a set of identities would be a hundred megabytes.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["BatchRange", "KnownBatches"]

# Gaps of one life: servers that take turns leave one for each batch; retries come within minutes.
RANGES_MAX = 100_000

# Client, epoch, first and last number.
BatchRange = tuple[str, int, int, int]


class KnownBatches:
    """Identities of batches. Not safe to share between native threads."""

    def __init__(self, ranges: Iterable[BatchRange] = ()) -> None:
        # By client and epoch: the firsts and the lasts, both ascending.
        self._lives: dict[tuple[str, int], tuple[list[int], list[int]]] = {}
        for client, epoch, first, last in ranges:
            self.add(client, epoch, first, last)

    def add(self, client: str, epoch: int, first: int, last: int | None = None) -> None:
        """Take in `first` to `last` (by itself: the one batch)."""
        last = first if last is None else last
        firsts, lasts = self._lives.setdefault((client, epoch), ([], []))
        # Ranges that touch this one melt into it.
        begin = bisect_left(lasts, first - 1)
        end = bisect_right(firsts, last + 1)
        if begin < end:
            first = min(first, firsts[begin])
            last = max(last, lasts[end - 1])
        firsts[begin:end] = [first]
        lasts[begin:end] = [last]
        if len(firsts) > RANGES_MAX:
            del firsts[0], lasts[0]

    def __contains__(self, identity: tuple[str, int, int]) -> bool:
        client, epoch, seq = identity
        life = self._lives.get((client, epoch))
        if life is None:
            return False
        index = bisect_right(life[0], seq) - 1
        return index >= 0 and seq <= life[1][index]

    def overlap(self, ranges: Iterable[BatchRange]) -> list[BatchRange]:
        """The parts of `ranges` that are known."""
        found: list[BatchRange] = []
        for client, epoch, first, last in ranges:
            firsts, lasts = self._lives.get((client, epoch), ((), ()))
            touched = range(bisect_left(lasts, first), bisect_right(firsts, last))
            found += [(client, epoch, max(first, firsts[i]), min(last, lasts[i])) for i in touched]
        return found

    def ranges(self) -> Iterator[BatchRange]:
        """All of them, each life's in ascending order."""
        for (client, epoch), (firsts, lasts) in self._lives.items():
            for first, last in zip(firsts, lasts, strict=True):
                yield client, epoch, first, last
