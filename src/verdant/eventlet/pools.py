"""Pools: Eventlet's pool of things that are dear to make.

Place     eventlet; over its own queue of size 0, which hands an item from hand to hand.
Differs   when making one fails, the first who waits may try; in Eventlet it goes on waiting.
"""

from __future__ import annotations

from collections import deque
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from verdant.eventlet.queue import LightQueue

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["Pool", "TokenPool"]

# Handed to one who waits, in place of an item: there is room to make one.
_ROOM = object()


class Pool:
    """Lends at most `max_size` of what `create()` makes: an argument, or a subclass's method.

    `min_size`: made at once. `order_as_stack`: lend the last returned first, else in turn.
    """

    def __init__(
        self,
        min_size: int = 0,
        max_size: int = 4,
        order_as_stack: bool = False,
        create: Callable[[], Any] | None = None,
    ) -> None:
        self.min_size = min_size
        self.max_size = max_size
        self.order_as_stack = order_as_stack
        self.free_items: deque[Any] = deque()
        self._handover = LightQueue(0)
        if create is not None:
            self.create = create  # type: ignore[method-assign] # Eventlet's way to configure it
        # Those that exist: lent, or free.
        self.current_size = 0
        for _ in range(min_size):
            self.free_items.append(self.create())
            self.current_size += 1

    def create(self) -> Any:
        """Make one. Subclasses say how."""
        raise NotImplementedError("Implement in subclass")

    def get(self) -> Any:
        """Borrow one. Parks while all are lent, and while one is made."""
        while True:
            if self.free_items:
                return self.free_items.popleft()
            if self.current_size < self.max_size:
                return self._made()
            # Woken by put(), or by one that could not make its own.
            item = self._handover.get()
            if item is not _ROOM:
                return item

    def _made(self) -> Any:
        self.current_size += 1
        try:
            return self.create()
        except BaseException:
            self.dismiss()
            raise

    def dismiss(self) -> None:
        """Say that one that was lent is no more; who waits may make another. Does not park."""
        self.current_size -= 1
        if self.waiting():
            self._handover.put(_ROOM, block=False)

    def put(self, item: Any) -> None:
        """Give a borrowed one back. Does not park."""
        if self.current_size > self.max_size:
            # It was made smaller.
            self.current_size -= 1
        elif self.waiting():
            self._handover.put(item, block=False)
        elif self.order_as_stack:
            self.free_items.appendleft(item)
        else:
            self.free_items.append(item)

    @contextmanager
    def item(self) -> Iterator[Any]:
        """Borrow one for a `with` block. Parks as `get` does."""
        item = self.get()
        try:
            yield item
        finally:
            self.put(item)

    def resize(self, new_size: int) -> None:
        """Lend `new_size` from now on; what is lent beyond that is dropped when it comes back."""
        self.max_size = new_size

    def free(self) -> int:
        """How many could be borrowed without waiting."""
        return len(self.free_items) + self.max_size - self.current_size

    def waiting(self) -> int:
        """How many green threads wait for one."""
        return self._handover.getting()


class Token:
    """Something that a `TokenPool` lends."""


class TokenPool(Pool):
    """Lends tokens: the right to do something at the same time as few others."""

    def create(self) -> Token:
        """A token."""
        return Token()
