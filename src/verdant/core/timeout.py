"""Timeout: a bound in seconds on a block of straight-line code.

Place     core; above parking it is only a timer that interrupts.
Promise   the exception comes at a wait inside the block, never after it: leaving the block takes
          back what has fired but was not raised. Nested scopes each raise themselves, so the
          `except` that catches tells which bound was met. What is inside cannot mistake it for an
          error of its own.
Not here  bounds on a single wait (the `timeout` argument that most waits have).

    try:
        with Timeout(30):
            answer = socket.recv()
    except Timeout:
        give_up()

The wait itself raises `Expired`, a BaseException; on the block's edge that becomes the scope. A
scope raised at the wait would be an OSError there, like every TimeoutError, and what a library does
with those is retry the call or report a broken connection: redis-py, psycopg and PyMySQL all do,
and the bound would be lost. asyncio and trio draw the same line with their cancellation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Self

from verdant.core.parking import current_thread, withdraw
from verdant.errors import TimedOut

if TYPE_CHECKING:
    from types import TracebackType

    from verdant.core.parking import Parkable
    from verdant.core.timers import Timer

__all__ = ["Expired", "Timeout"]


class Expired(BaseException):
    """Raised at a wait inside a `Timeout` block whose time is up; outside it is the `Timeout`.

    Nobody's fault: let it pass. A `BaseException`, so that no `except Exception` keeps it.
    """


class Timeout(TimedOut):
    """A context manager that ends its block after `seconds` by raising itself.

    `seconds`: the bound, or None for no bound. `exception`: raised at the wait inside, as it is,
    instead of the scope itself; or False to leave the block silently (see `expired` afterwards).
    Does not park.
    """

    def __init__(
        self,
        seconds: float | None = None,
        exception: BaseException | type[BaseException] | Literal[False] | None = None,
    ) -> None:
        super().__init__("no bound" if seconds is None else f"not finished within {seconds:g} s")
        self.seconds = seconds
        self.expired = False
        self._silent = exception is False
        self._raises: BaseException = Expired(str(self))
        if isinstance(exception, BaseException):
            self._raises = exception
        elif isinstance(exception, type):
            self._raises = exception()
        self._timer: Timer | None = None
        self._thread: Parkable | None = None

    def __enter__(self) -> Self:
        self._thread = thread = current_thread()
        self.expired = False
        if self.seconds is not None:
            self._timer = thread.hub.run_later(max(0.0, self.seconds), self._fire)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        self.cancel()
        if isinstance(exc, Expired) and exc is self._raises:
            if self._silent:
                return True
            # With the frames of the wait, and without a second traceback that says the same.
            raise self.with_traceback(traceback) from None
        return False

    def cancel(self) -> None:
        """Lift the bound; the block goes on without one. Does not park."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._thread is not None and withdraw(self._thread, self._raises):
            self.expired = False

    def _fire(self) -> None:
        # In the hub.
        if self._thread is not None:
            self.expired = True
            self._thread.hub.interrupt(self._thread, self._raises)
