"""Pool: a bounded number of expensive things, lent one at a time.

Place     sync, on a wait queue.
Promise   at most `max_size` exist; a returned one goes to the first in line. Nothing is lost when
          a borrower is interrupted, or when making one fails.

    connections = Pool(create=connect_to_database, max_size=10)
    with connections.item() as connection:
        connection.execute("...")
"""

from __future__ import annotations

from collections import deque
from contextlib import contextmanager
from typing import TYPE_CHECKING, Generic, TypeVar

from verdant.sync.semaphore import Semaphore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["Pool"]

# Eventlet's: small, since the things lent are connections that a server must hold open.
MAX_SIZE_DEFAULT = 4

T = TypeVar("T")


class Pool(Generic[T]):
    """Lends what `create()` makes. `max_size`: how many may exist, at least 1."""

    def __init__(self, create: Callable[[], T], max_size: int = MAX_SIZE_DEFAULT) -> None:
        if max_size < 1:
            raise ValueError(f"a pool of {max_size} could lend nothing: max_size must be >= 1")
        self.max_size = max_size
        self._create = create
        self._permits = Semaphore(max_size)
        # The last returned is lent first: it is the likeliest to be warm.
        self._idle: deque[T] = deque()

    def free(self) -> int:
        """How many could be borrowed without waiting for one to come back. Does not park."""
        return self._permits.free

    def get(self) -> T:
        """Borrow one; give it back with `put`. Parks while all are lent, and while one is made."""
        self._permits.acquire()
        try:
            return self._idle.pop() if self._idle else self._create()
        except BaseException:
            self._permits.release()
            raise

    def put(self, item: T) -> None:
        """Give a borrowed one back. Does not park."""
        self._idle.append(item)
        self._permits.release()

    def drop(self) -> None:
        """Say that a borrowed one is broken and will not come back. Does not park."""
        self._permits.release()

    @contextmanager
    def item(self) -> Iterator[T]:
        """Borrow one for a `with` block. Parks as `get` does."""
        item = self.get()
        try:
            yield item
        finally:
            self.put(item)
