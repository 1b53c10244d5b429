"""Timeout: a bound in seconds on a block of straight-line code.

Place     core; above parking it is only a timer that interrupts.
Promise   the exception comes at a wait inside the block, never after it: leaving the block takes
          back what has fired but was not raised. Nested scopes each raise their own, so the
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

from typing import TYPE_CHECKING, Literal, Self, TypeVar

from verdant.core.parking import current_thread, withdraw
from verdant.errors import Busy, TimedOut

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from verdant.core.parking import Parkable
    from verdant.core.timers import Timer

__all__ = ["Expired", "Timeout", "is_interrupt", "with_timeout"]

T = TypeVar("T")
V = TypeVar("V")

# Marks an exception that a scope raised in place of itself; its value is the scope's identity.
_RAISED_BY = "__verdant_timeout__"

# Tells "not given" from every value there is.
_MISSING: object = object()


class Expired(BaseException):
    """Raised at a wait inside a `Timeout` block whose time is up; outside it is the `Timeout`.

    Nobody's fault: let it pass. A `BaseException`, so that no `except Exception` keeps it.
    """

    def __init__(self, scope: Timeout) -> None:
        super().__init__(str(scope))
        self.scope = scope


class Timeout(TimedOut):
    """A context manager that ends its block after `seconds` by raising itself.

    `seconds`: the bound, or None for no bound. `exception`: raised at the wait inside, as it is, in
    place of the scope: an instance, or a class, of which a new one is made each time. False leaves
    the block silently.
    `expired` tells afterwards whether the bound was met, also where somebody inside the block
    caught what was raised. May be entered again, but not while it is entered. Does not park.
    """

    expired = False
    _silent = False
    _instead: BaseException | type[BaseException] | None = None
    _raised: BaseException | None = None
    _timer: Timer | None = None
    _thread: Parkable | None = None

    def __init__(
        self,
        seconds: float | None = None,
        exception: BaseException | type[BaseException] | Literal[False] | None = None,
    ) -> None:
        # Nearly every bound is never met: its text is made when somebody reads it.
        self.seconds = seconds
        if exception is False:
            self._silent = True
        else:
            self._instead = exception

    def __str__(self) -> str:
        return "no bound" if self.seconds is None else f"not finished within {self.seconds:g} s"

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.seconds!r})"

    def __enter__(self) -> Self:
        """Begin to count. Raises `Busy` when it counts already."""
        if self._timer is not None:
            raise Busy("this Timeout is entered already: make one for each block")
        self._thread = thread = current_thread()
        self.expired = False
        self._raised = None
        seconds = self.seconds
        if seconds is not None:
            self._timer = thread.hub.run_later(seconds if seconds > 0 else 0.0, self._fire)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        if exc is None and self._raised is None:
            # Nearly always: ended in time.
            timer, self._timer = self._timer, None
            self._thread = None
            if timer is not None:
                timer.cancel()
            return False
        mine = isinstance(exc, Expired) and exc.scope is self
        self.cancel()
        self._thread = None
        if not mine or self._silent:
            return mine
        # With the frames of the wait, and without a second traceback that says the same.
        raise self.with_traceback(traceback) from None

    def cancel(self) -> None:
        """Lift the bound; the block goes on without one. Does not park."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if (
            self._thread is not None
            and self._raised is not None
            and withdraw(self._thread, self._raised)
        ):
            self.expired = False
        # An exception that was caught, kept and raised again must not keep its frames through us.
        self._raised = None

    @property
    def pending(self) -> bool:
        """True while it counts: entered, not cancelled, its bound not met yet. Does not park."""
        return self._timer is not None and self._timer.pending

    def _fire(self) -> None:
        # In the hub.
        if self._thread is not None:
            self.expired = True
            self._raised = self._fresh()
            self._thread.hub.interrupt(self._thread, self._raised)

    def _fresh(self) -> BaseException:
        exc: BaseException
        if self._instead is None:
            exc = Expired(self)
        elif isinstance(self._instead, BaseException):
            exc = self._instead
        else:
            try:
                exc = self._instead()
            except Exception as failed:  # noqa: BLE001 - the block's to hear of, not the hub's
                exc = failed
        # One that was raised before, by the same scope in a loop, tells of that time no more.
        exc.__traceback__ = exc.__cause__ = exc.__context__ = None
        if self._instead is not None:
            exc.__dict__[_RAISED_BY] = id(self)
        return exc


def is_interrupt(exc: BaseException) -> bool:
    """True for what came from outside the code that it ended. Does not park.

    That is: `Cancelled`, KeyboardInterrupt and their like, and what a `Timeout` scope raised.
    """
    return not isinstance(exc, Exception) or isinstance(exc, Timeout) or _RAISED_BY in exc.__dict__


def with_timeout(
    seconds: float | None,
    fn: Callable[..., T],
    *args: object,
    timeout_value: V = _MISSING,  # type: ignore[assignment] # means: not given
    **kwargs: object,
) -> T | V:
    """Call `fn(*args, **kwargs)` for at most `seconds` and return its result. Parks as it does.

    Out of time it returns `timeout_value`, or raises a `Timeout` where none is given. A `Timeout`
    that `fn` itself raises, or that bounds the caller, passes through.
    """
    bound = Timeout(seconds)
    try:
        with bound:
            return fn(*args, **kwargs)
    except Timeout as exc:
        if exc is not bound or timeout_value is _MISSING:
            raise
    return timeout_value
