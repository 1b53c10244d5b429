"""Queues: Eventlet's bounds and exceptions.

Place     eventlet, over sync's queues.
Promise   `maxsize` None or below zero is no bound, and 0 makes a channel: `put` waits until a `get`
          takes the item. `Full` and `Empty` are the stdlib's.
Differs   those who wait are served in the order in which they came.
"""

from __future__ import annotations

from queue import Empty, Full
from typing import Any, ClassVar

from verdant import sync
from verdant.core import TimedOut
from verdant.errors import WouldBlock

__all__ = ["Empty", "Full", "LifoQueue", "LightQueue", "PriorityQueue", "Queue"]


class _Line(sync.Queue[Any]):
    """A queue that may hold nothing: then items go from putter to getter directly."""

    limit: int | None = None

    def full(self) -> bool:
        return self.limit is not None and self.qsize() >= self.limit

    def put(self, item: Any, timeout: float | None = None) -> None:
        if self._getters:
            self._accept(item)
        else:
            super().put(item, timeout)

    def put_nowait(self, item: Any) -> None:
        if self._getters:
            self._accept(item)
        else:
            super().put_nowait(item)

    def get(self, timeout: float | None = None) -> Any:
        self._fetch()
        return super().get(timeout)

    def get_nowait(self) -> Any:
        self._fetch()
        return super().get_nowait()

    def _fetch(self) -> None:
        # Only a queue of size 0 is empty while somebody waits to put.
        if self._offers and not self._items:
            self._take_offer()

    def set_limit(self, limit: int | None) -> None:
        self.limit = limit
        while self._offers and not self.full():
            self._take_offer()

    def held(self) -> Any:
        return self._items

    def unfinished(self) -> int:
        return self._unfinished


class _LifoLine(_Line, sync.LifoQueue[Any]):
    pass


class _PriorityLine(_Line, sync.PriorityQueue[Any]):
    pass


class LightQueue:
    """First in, first out, without `task_done` and `join`."""

    _kind: ClassVar[type[_Line]] = _Line

    def __init__(self, maxsize: int | None = None) -> None:
        self._line = self._kind()
        self.resize(None if maxsize is None or maxsize < 0 else maxsize)

    @property
    def maxsize(self) -> int | None:
        """How many items it holds; None for no bound."""
        return self._line.limit

    @property
    def queue(self) -> Any:
        """The items that it holds."""
        return self._line.held()

    def qsize(self) -> int:
        """How many items it holds. Does not park."""
        return self._line.qsize()

    def empty(self) -> bool:
        """True when it holds nothing. Does not park."""
        return self._line.empty()

    def full(self) -> bool:
        """True when it holds `maxsize` items; a channel always does. Does not park."""
        return self._line.full()

    def putting(self) -> int:
        """How many green threads wait in `put`. Does not park."""
        return self._line.putting()

    def getting(self) -> int:
        """How many green threads wait in `get`. Does not park."""
        return self._line.getting()

    def resize(self, size: int | None) -> None:
        """Change the bound; those whose item fits now go on. Does not park."""
        self._line.set_limit(size)

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        """Put `item` in. Parks while it is full. Raises `Full` after `timeout` s, or at once."""
        try:
            if block:
                self._line.put(item, timeout)
            else:
                self._line.put_nowait(item)
        except WouldBlock:
            raise Full from None
        except TimedOut as exc:
            # A core Timeout around us is somebody else's bound.
            if type(exc) is not TimedOut:
                raise
            raise Full from None

    def put_nowait(self, item: Any) -> None:
        """Put `item` in. Raises `Full` when it would have to wait. Does not park."""
        self.put(item, block=False)

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        """Take the next item. Parks while there is none. Raises `Empty` after `timeout` s."""
        try:
            return self._line.get(timeout) if block else self._line.get_nowait()
        except WouldBlock:
            raise Empty from None
        except TimedOut as exc:
            if type(exc) is not TimedOut:
                raise
            raise Empty from None

    def get_nowait(self) -> Any:
        """Take the next item. Raises `Empty` when there is none. Does not park."""
        return self.get(block=False)

    def __repr__(self) -> str:
        return (
            f"<{type(self).__name__} at {id(self):#x} maxsize={self.maxsize} {self.qsize()} held>"
        )


class Queue(LightQueue):
    """First in, first out; `join()` waits until every item is dealt with."""

    @property
    def unfinished_tasks(self) -> int:
        """Items that were put in and not reported by `task_done`."""
        return self._line.unfinished()

    def task_done(self) -> None:
        """Say that one item taken out is dealt with. Does not park.

        Raises ValueError when called more often than items were put in.
        """
        self._line.task_done()

    def join(self) -> None:
        """Wait until every item put in is dealt with. Parks."""
        self._line.join()


class LifoQueue(Queue):
    """Last in, first out."""

    _kind: ClassVar[type[_Line]] = _LifoLine


class PriorityQueue(Queue):
    """Smallest first; usually pairs of a number and an item."""

    _kind: ClassVar[type[_Line]] = _PriorityLine
