"""Semaphores: counted permits.

Place     sync, on a wait queue.
Promise   first come, first served: a permit that is released while somebody waits goes to the
          first in line, never to a passer-by. An interrupted wait takes no permit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from verdant.core import WaitQueue

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["BoundedSemaphore", "Semaphore"]


class Semaphore:
    """`value` permits, at least 0; `with semaphore:` takes one and gives it back."""

    def __init__(self, value: int = 1) -> None:
        if value < 0:
            raise ValueError(f"a semaphore cannot have {value} permits: value must be >= 0")
        self._free = value
        self._waiters = WaitQueue()

    @property
    def free(self) -> int:
        """Permits that could be taken without waiting."""
        return self._free

    def acquire(self, blocking: bool = True, timeout: float | None = None) -> bool:
        """Take a permit. Parks while there is none.

        Returns False when it did not get one: at once if not `blocking`, else after `timeout`
        seconds.
        """
        if self._free > 0 and not self._waiters:
            self._free -= 1
            return True
        if not blocking:
            return False
        # Woken by release(), which passes its permit on to us without counting it free.
        return self._waiters.wait_in_time(timeout)

    def release(self) -> None:
        """Give a permit back. Does not park."""
        if not self._waiters.wake_one():
            self._free += 1

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


class BoundedSemaphore(Semaphore):
    """A semaphore that refuses more releases than acquires, with ValueError."""

    def __init__(self, value: int = 1) -> None:
        super().__init__(value)
        self._value = value

    def release(self) -> None:
        """Give a permit back. Raises ValueError when all are back already. Does not park."""
        if self._free >= self._value:
            raise ValueError("semaphore released more often than acquired")
        super().release()
