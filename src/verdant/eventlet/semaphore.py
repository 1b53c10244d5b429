"""Semaphores: Eventlet's three, and their counters.

Place     eventlet, over sync's semaphores.
Differs   a permit that is released while somebody waits goes to the first in line at once; in
          Eventlet it shows in `counter` until that one runs, and a passer-by may take it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from verdant import sync

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["BoundedSemaphore", "CappedSemaphore", "Semaphore"]


class Semaphore(sync.Semaphore):
    """`value` permits; `with semaphore:` takes one and gives it back."""

    def __init__(self, value: int = 1) -> None:
        try:
            value = int(value)
        except ValueError as exc:
            raise TypeError(f"a semaphore's value must be a number, not {value!r}") from exc
        super().__init__(value)

    @property
    def counter(self) -> int:
        """Permits that could be taken without waiting."""
        return self.free

    @property
    def balance(self) -> int:
        """Free permits, or less than zero: how many wait for one."""
        return self.free - len(self._waiters)

    def locked(self) -> bool:
        """True when `acquire` would wait. Does not park."""
        return self.free <= 0

    def bounded(self) -> bool:
        """False: `release` never waits here."""
        return False

    def acquire(self, blocking: bool = True, timeout: float | None = None) -> bool:
        """Take a permit. Parks while there is none. False when it got none in `timeout` seconds.

        Raises ValueError for a negative `timeout` other than -1, and for one without `blocking`.
        """
        if timeout == -1:
            timeout = None
        if timeout is not None:
            if timeout < 0:
                raise ValueError("timeout value must be strictly positive")
            if not blocking:
                raise ValueError("can't specify timeout for non-blocking acquire")
        return super().acquire(blocking, timeout)

    def release(  # type: ignore[override] # it returns something
        self, blocking: bool = True
    ) -> Literal[True]:
        """Give a permit back; `blocking` means nothing here. Does not park."""
        super().release()
        return True


class BoundedSemaphore(Semaphore):
    """A semaphore that refuses more releases than acquires, with ValueError."""

    def __init__(self, value: int = 1) -> None:
        super().__init__(value)
        self.original_counter = self.counter

    def release(self, blocking: bool = True) -> Literal[True]:  # type: ignore[override]
        """Give a permit back. Raises ValueError when all are back already. Does not park."""
        if self.counter >= self.original_counter:
            raise ValueError("Semaphore released too many times")
        return super().release()


class CappedSemaphore:
    """`count` permits, `limit` at the most: `acquire` waits for one, `release` for room for one."""

    def __init__(self, count: int, limit: int) -> None:
        if count < 0:
            raise ValueError(f"CappedSemaphore must be initialized with a positive number: {count}")
        if count > limit:
            raise ValueError("'count' cannot be more than 'limit'")
        self.lower_bound = Semaphore(count)
        self.upper_bound = Semaphore(limit - count)

    def locked(self) -> bool:
        """True when `acquire` would wait. Does not park."""
        return self.lower_bound.locked()

    def bounded(self) -> bool:
        """True when `release` would wait. Does not park."""
        return self.upper_bound.locked()

    @property
    def balance(self) -> int:
        """Permits less the room for more, counting those who wait for either."""
        return self.lower_bound.balance - self.upper_bound.balance

    def acquire(self, blocking: bool = True) -> bool:
        """Take a permit. Parks while there is none. False when there is none to take at once."""
        return _move(self.lower_bound, self.upper_bound, blocking)

    def release(self, blocking: bool = True) -> bool:
        """Give a permit back. Parks while there are `limit`. False when it cannot at once."""
        return _move(self.upper_bound, self.lower_bound, blocking)

    def __enter__(self) -> None:
        self.acquire()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.release()


def _move(source: Semaphore, target: Semaphore, blocking: bool) -> bool:
    taken = source.acquire(blocking)
    if taken:
        target.release()
    return taken
