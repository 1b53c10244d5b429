"""Queue: the stdlib's `queue.SimpleQueue`, whose `get` parks the green thread.

Place     green, on waiting.py; `concurrent.futures` takes its work from one.
Promise   `put` never waits and may be called from anywhere: another native thread, a signal
          handler, a finalizer. No item is lost when a `get` is interrupted.
Not here  Queue, LifoQueue, PriorityQueue: the stdlib builds them on `threading`, which is green;
          for green threads alone verdant.sync has faster ones.
"""

from __future__ import annotations

from collections import deque
from queue import Empty
from types import GenericAlias
from typing import TYPE_CHECKING, ClassVar, Generic, TypeVar

from verdant.core import monotonic
from verdant.green.waiting import Waiter, new_waiter

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Empty", "SimpleQueue"]

T = TypeVar("T")


class SimpleQueue(Generic[T]):
    """As `queue.SimpleQueue`, for green and native threads."""

    __class_getitem__: ClassVar[Callable[..., GenericAlias]] = classmethod(GenericAlias)  # type: ignore[assignment] # as the stdlib's

    def __init__(self) -> None:
        self._items: deque[T] = deque()
        # Added to by those who get, shortened by those who put and by a getter that leaves.
        self._waiters: list[Waiter] = []

    def put(self, item: T, block: bool = True, timeout: float | None = None) -> None:
        """As in the stdlib: `block` and `timeout` mean nothing here. Does not park."""
        self._items.append(item)
        self._wake_one()

    def put_nowait(self, item: T) -> None:
        """As `put`."""
        self.put(item)

    def get(self, block: bool = True, timeout: float | None = None) -> T:
        """As in the stdlib. Parks while the queue is empty. Raises `Empty`."""
        if block and timeout is not None and timeout < 0:
            raise ValueError("'timeout' must be a non-negative number")
        try:
            return self._items.popleft()
        except IndexError:
            if not block:
                raise Empty from None
        deadline = None if timeout is None else monotonic() + timeout
        while True:
            in_time = self._wait(None if deadline is None else max(0.0, deadline - monotonic()))
            try:
                return self._items.popleft()
            except IndexError:
                # Somebody was quicker, or nothing came.
                if not in_time:
                    raise Empty from None

    def get_nowait(self) -> T:
        """As `get(block=False)`. Does not park."""
        return self.get(block=False)

    def empty(self) -> bool:
        """As in the stdlib. Does not park."""
        return not self._items

    def qsize(self) -> int:
        """As in the stdlib. Does not park."""
        return len(self._items)

    def _wait(self, timeout_s: float | None) -> bool:
        """Wait until there may be an item. False when the time is up."""
        waiter = new_waiter()
        self._waiters.append(waiter)
        if self._items:
            # Put before we stood in line, by one who then saw nobody.
            self._leave(waiter)
            return True
        try:
            # Woken by _wake_one(), which took us out of the line.
            woken = waiter.wait(timeout_s)
        except BaseException:
            self._leave(waiter)
            raise
        if not woken:
            self._leave(waiter)
        return woken

    def _leave(self, waiter: Waiter) -> None:
        try:
            self._waiters.remove(waiter)
        except ValueError:
            # We were woken for an item that we may not take: let the next in line look.
            if self._items:
                self._wake_one()

    def _wake_one(self) -> None:
        try:
            waiter = self._waiters.pop(0)
        except IndexError:
            return
        waiter.wake()
