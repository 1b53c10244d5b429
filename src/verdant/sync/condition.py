"""Condition: wait, with a lock put down, until somebody says that something has changed.

Place     sync, on a lock and a wait queue; the shape of `threading.Condition`.
Promise   `notify()` wakes those who wait longest. Whoever was notified returns from `wait()`: an
          interrupt that comes after that is raised at its next wait, so no notification is lost.
          The lock is held again however `wait()` ends.
Not here  which change (the caller's predicate).

    with changed:                                with changed:
        changed.wait_for(lambda: items)              items.append(item)
        item = items.pop()                           changed.notify()
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Self, TypeVar

from verdant.core import WaitQueue, current_thread, interrupt, monotonic
from verdant.sync.lock import Lock, RLock

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

__all__ = ["Condition"]

T = TypeVar("T")


class Condition:
    """As `threading.Condition`. `lock`: the lock to use; an `RLock` of its own when left out."""

    def __init__(self, lock: Lock | RLock | None = None) -> None:
        self._lock = RLock() if lock is None else lock
        self._waiters = WaitQueue()

    def acquire(self, blocking: bool = True, timeout: float | None = None) -> bool:
        """Take the lock. As its own `acquire`. Parks."""
        return self._lock.acquire(blocking, timeout)

    def release(self) -> None:
        """Give the lock back. Does not park."""
        self._lock.release()

    def wait(self, timeout: float | None = None) -> bool:
        """Put the lock down, wait to be notified, take it again. Parks.

        Returns False when `timeout` seconds were not enough. Raises RuntimeError when the caller
        does not hold the lock.
        """
        self._check_held("wait for")
        depth = self._lock.put_down()
        try:
            # Woken by notify(), which takes us out of the line.
            return self._waiters.wait_in_time(timeout)
        finally:
            self._take_up(depth)

    def wait_for(self, predicate: Callable[[], T], timeout: float | None = None) -> T:
        """Wait until `predicate()` is true, and return what it returned. Parks.

        What is false comes back when `timeout` seconds, in all, were not enough.
        """
        deadline = None if timeout is None else monotonic() + timeout
        result = predicate()
        while not result:
            left_s = None if deadline is None else deadline - monotonic()
            if left_s is not None and left_s <= 0:
                break
            self.wait(left_s)
            result = predicate()
        return result

    def notify(self, n: int = 1) -> None:
        """Wake `n` of those who wait, the longest waiting first. Does not park.

        Raises RuntimeError when the caller does not hold the lock.
        """
        self._check_held("notify")
        while n > 0 and self._waiters.wake_one():
            n -= 1

    def notify_all(self) -> None:
        """Wake everybody. Does not park. Raises RuntimeError without the lock."""
        self.notify(len(self._waiters))

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

    def _check_held(self, what: str) -> None:
        if not self._lock.is_held():
            raise RuntimeError(f"cannot {what} a condition whose lock you do not hold")

    def _take_up(self, depth: int) -> None:
        # Whatever happens: the caller's `with` block puts it down again. What interrupts us here is
        # raised at the next wait.
        interrupts: list[BaseException] = []
        while True:
            try:
                self._lock.take_up(depth)
            except BaseException as exc:  # noqa: BLE001 - raised at the next wait
                interrupts.append(exc)
            else:
                break
        me = current_thread()
        for late in interrupts:
            interrupt(me, late)
