"""Queues: hand-over between green threads.

Place     sync, on wait queues.
Promise   fair at both ends: the longest waiting getter gets the next item, the longest waiting
          putter's item goes in first. An item is in the queue, or with one getter; an interrupt
          loses none.
Not here  queues between native threads (the stdlib's `queue`).

A getter that waits is handed its item directly (`_handed`), and a putter that waits leaves its
item beside it (`_offers`): whoever wakes a thread has already done what it waited for.
"""

from __future__ import annotations

import heapq
from collections import deque
from typing import Generic, TypeVar

from verdant.core import Parkable, WaitQueue, current_thread, interrupt, park, unpark
from verdant.errors import WouldBlock

__all__ = ["LifoQueue", "LightQueue", "PriorityQueue", "Queue"]

T = TypeVar("T")


class LightQueue(Generic[T]):
    """First in, first out, without `task_done` and `join`: for when nobody counts what is done.

    `maxsize`: how many items it holds; 0 or less means no bound.
    """

    def __init__(self, maxsize: int = 0) -> None:
        self.maxsize = maxsize
        self._getters: dict[Parkable, None] = {}
        self._handed: dict[Parkable, T] = {}
        self._offers: dict[Parkable, T] = {}
        self._make()

    # The order of items, and all that the subclasses change.

    def _make(self) -> None:
        self._items: deque[T] = deque()

    def _store(self, item: T) -> None:
        self._items.append(item)

    def _take(self) -> T:
        return self._items.popleft()

    def qsize(self) -> int:
        """How many items it holds. Does not park."""
        return len(self._items)

    def empty(self) -> bool:
        """True when it holds nothing. Does not park."""
        return not self._items

    def full(self) -> bool:
        """True when it holds `maxsize` items. Does not park."""
        return 0 < self.maxsize <= len(self._items)

    def getting(self) -> int:
        """How many callers of `get` wait. Does not park."""
        return len(self._getters)

    def putting(self) -> int:
        """How many callers of `put` wait. Does not park."""
        return len(self._offers)

    def resize(self, maxsize: int) -> None:
        """Hold `maxsize` items from now on; what it holds already stays. Does not park."""
        self.maxsize = maxsize
        while self._offers and not self.full():
            self._take_offer()

    def put(self, item: T, timeout: float | None = None) -> None:
        """Put `item` in. Parks while the queue is full. Raises `TimedOut` after `timeout` s."""
        if not self.full():
            self._accept(item)
            return
        me = current_thread()
        self._offers[me] = item
        try:
            # Woken by get(), which took our item in.
            park(timeout)
        except BaseException:
            self._offers.pop(me, None)
            raise

    def put_nowait(self, item: T) -> None:
        """Put `item` in. Raises `WouldBlock` when the queue is full. Does not park."""
        if self.full():
            raise WouldBlock(f"the queue holds its {self.maxsize} items: get one, or wait in put()")
        self._accept(item)

    def get(self, timeout: float | None = None) -> T:
        """Take the next item out. Parks while empty. Raises `TimedOut` after `timeout` s."""
        if self._items:
            return self._hand_out()
        me = current_thread()
        self._getters[me] = None
        try:
            # Woken by _accept(), which left our item in _handed.
            park(timeout)
        except BaseException:
            self._getters.pop(me, None)
            raise
        return self._handed.pop(me)

    def get_nowait(self) -> T:
        """Take the next item out. Raises `WouldBlock` when there is none. Does not park."""
        if not self._items:
            raise WouldBlock("the queue is empty: put something in, or wait in get()")
        return self._hand_out()

    def __len__(self) -> int:
        return len(self._items)

    def __bool__(self) -> bool:
        """True, also while it is empty: what is asked is whether there is a queue."""
        return True

    def _accept(self, item: T) -> None:
        for getter in self._getters:
            del self._getters[getter]
            self._handed[getter] = item
            unpark(getter)
            return
        self._store(item)

    def _hand_out(self) -> T:
        item = self._take()
        if self._offers and not self.full():
            self._take_offer()
        return item

    def _take_offer(self) -> None:
        putter = next(iter(self._offers))
        try:
            self._accept(self._offers.pop(putter))
        except Exception as exc:  # noqa: BLE001 - raised in the putter
            # An item that cannot be ordered among the others is its putter's fault, not ours.
            interrupt(putter, exc)
        else:
            unpark(putter)


class Queue(LightQueue[T]):
    """First in, first out; `join()` waits until every item is dealt with.

    `maxsize`: how many items it holds; 0 or less means no bound.
    """

    def __init__(self, maxsize: int = 0) -> None:
        super().__init__(maxsize)
        self._unfinished = 0
        self._all_done = WaitQueue()

    def task_done(self) -> None:
        """Say that one item taken out is dealt with; `join()` counts them. Does not park.

        Raises ValueError when called more often than items were put in.
        """
        if self._unfinished <= 0:
            raise ValueError("task_done() called more often than items were put in")
        self._unfinished -= 1
        if not self._unfinished:
            self._all_done.wake_all()

    def join(self) -> None:
        """Wait until every item put in was dealt with. Parks."""
        while self._unfinished:
            self._all_done.wait()

    def _accept(self, item: T) -> None:
        super()._accept(item)
        self._unfinished += 1


class LifoQueue(Queue[T]):
    """Last in, first out."""

    def _take(self) -> T:
        return self._items.pop()


class PriorityQueue(Queue[T]):
    """Smallest first; items must be comparable, as for `heapq`."""

    def _make(self) -> None:
        self._items: list[T] = []  # type: ignore[assignment] # a heap is a list

    def _store(self, item: T) -> None:
        try:
            heapq.heappush(self._items, item)  # type: ignore[type-var]
        except BaseException:
            # It could not be compared, and lies in the heap all the same.
            self._items = [other for other in self._items if other is not item]
            heapq.heapify(self._items)  # type: ignore[type-var]
            raise

    def _take(self) -> T:
        return heapq.heappop(self._items)  # type: ignore[type-var]
