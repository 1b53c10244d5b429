"""Locks: one green thread at a time.

Place     sync, on a wait queue.
Promise   first come, first served; an interrupted wait takes nothing.
Not here  locks that native threads share (green/thread.py). Those keep their state in a native lock
          and their line safe from several native threads at once, at twice the price of these.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from verdant.core import Parkable, current_thread
from verdant.sync.semaphore import Semaphore

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["Lock", "RLock"]


class Lock(Semaphore):
    """A lock; `with lock:` holds it. Any green thread may release it, as with threading's."""

    def __init__(self) -> None:
        super().__init__(1)

    def locked(self) -> bool:
        """True while somebody holds it. Does not park."""
        return self._free == 0

    def release(self) -> None:
        """Let the next one in. Raises RuntimeError when nobody holds it. Does not park."""
        if self._free:
            raise RuntimeError("release unlocked lock")
        super().release()

    # What a condition asks of its lock.

    def is_held(self) -> bool:
        """True while it is held, by whomever: a lock does not know its holder. Does not park."""
        return self._free == 0

    def put_down(self) -> int:
        """Release it however often it was taken; returns how often. Does not park."""
        self.release()
        return 1

    def take_up(self, depth: int) -> None:
        """Take it `depth` times. Parks."""
        self.acquire()


class RLock:
    """A lock that its holder may take again; it is free after as many releases."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._owner: Parkable | None = None
        self._depth = 0

    @property
    def owner(self) -> Parkable | None:
        """The green thread that holds it, or None. Does not park."""
        return self._owner

    def acquire(self, blocking: bool = True, timeout: float | None = None) -> bool:
        """Take it, or take it once more. Parks while another holds it. As `Semaphore.acquire`."""
        me = current_thread()
        if self._owner is me:
            self._depth += 1
            return True
        if not self._lock.acquire(blocking, timeout):
            return False
        self._owner = me
        self._depth = 1
        return True

    def release(self) -> None:
        """Undo one acquire. Raises RuntimeError when another holds it. Does not park."""
        if self._owner is not current_thread():
            raise RuntimeError("cannot release un-acquired lock")
        self._depth -= 1
        if not self._depth:
            self._owner = None
            self._lock.release()

    def locked(self) -> bool:
        """True while somebody holds it. Does not park."""
        return self._lock.locked()

    # What a condition asks of its lock.

    def is_held(self) -> bool:
        """True while the caller holds it. Does not park."""
        return self._owner is current_thread()

    def put_down(self) -> int:
        """Release it however often it was taken; returns how often. Does not park."""
        depth, self._depth = self._depth, 0
        self._owner = None
        self._lock.release()
        return depth

    def take_up(self, depth: int) -> None:
        """Take it `depth` times. Parks."""
        self._lock.acquire()
        self._owner = current_thread()
        self._depth = depth

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.release()
