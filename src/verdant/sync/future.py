"""Future: one result, once.

Place     sync, on a wait queue; for a result that is not a green thread's (that one has `wait()`).
Promise   set once, by anybody, in any native thread; everybody who waits gets it, now or later.
Not here  how the result comes about.
"""

from __future__ import annotations

from typing import Generic, TypeVar, cast

from verdant.core import WaitQueue
from verdant.core.originals import allocate_lock
from verdant.errors import VerdantError

__all__ = ["AlreadyDone", "Future"]

T = TypeVar("T")


class AlreadyDone(VerdantError):
    """Raised when a future that is done is given a result or an exception again.

    The caller's fault: one place should end a future.
    """

    code = "already-done"


class Future(Generic[T]):
    """A result that comes later. `done` is true once it is there."""

    __slots__ = ("__weakref__", "_ending", "_exception", "_result", "_waiters", "done")

    def __init__(self) -> None:
        self.done = False
        # Held for ever by the native thread that ended the future: taking it is the decision.
        self._ending = allocate_lock()
        self._result: T | None = None
        self._exception: BaseException | None = None
        self._waiters = WaitQueue()

    def set_result(self, result: T) -> None:
        """End it well. Raises `AlreadyDone` the second time. From any native thread."""
        self._end()
        self._result = result
        self._tell()

    def set_exception(self, exception: BaseException) -> None:
        """End it badly: `wait()` raises `exception`. Raises `AlreadyDone` the second time.

        From any native thread. Does not park.
        """
        self._end()
        self._exception = exception
        self._tell()

    def wait(self, timeout: float | None = None) -> T:
        """Wait for the result. Parks. Raises the exception that it ended with.

        Raises `TimedOut` when `timeout` seconds were not enough.
        """
        if not self.done:
            self._waiters.wait_unless(self._is_done, timeout)
        if self._exception is not None:
            raise self._exception
        return cast("T", self._result)

    @property
    def exception(self) -> BaseException | None:
        """What it ended with, or None: not done, or ended well. Does not park."""
        return self._exception

    def _is_done(self) -> bool:
        return self.done

    def _end(self) -> None:
        if not self._ending.acquire(False):
            raise AlreadyDone("this future has its result: make another one")

    def _tell(self) -> None:
        self.done = True
        self._waiters.wake_all()
