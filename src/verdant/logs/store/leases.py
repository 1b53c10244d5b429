"""Leases: files that somebody reads are unlinked when they have been read.

Place     logs/store. Guarded by the store's lock: nothing here locks or waits.
Promise   a file that was taken out of the store while a lease was held goes when every lease that
          is as old has ended, and not later.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

__all__ = ["Leases"]


class Leases:
    """Who reads, and what waits for them to end."""

    def __init__(self) -> None:
        self._next = 0
        self._held: set[int] = set()
        self._condemned: list[tuple[int, Path]] = []

    def begin(self) -> int:
        """A lease on every file that the store has now."""
        self._next += 1
        self._held.add(self._next)
        return self._next

    def end(self, lease: int) -> None:
        """Let go; a second time does nothing."""
        self._held.discard(lease)

    def condemn(self, paths: Iterable[Path]) -> None:
        """These left the store; leases from now on do not know them."""
        self._condemned += [(self._next, path) for path in paths]

    def take_free(self) -> list[Path]:
        """What may be unlinked now."""
        oldest = min(self._held, default=self._next + 1)
        free = [path for newest, path in self._condemned if newest < oldest]
        self._condemned = [entry for entry in self._condemned if entry[0] >= oldest]
        return free
