"""Timeout: Eventlet's, which runs from the moment it is made.

Place     eventlet, over core's `Timeout`.
Promise   Eventlet's class: a BaseException, so that `except Exception` lets it pass; it raises
          itself, or `exception`, in the green thread that started it, at a wait.
Differs   a green thread that was woken before the time was up goes on, and its timeout is raised
          at its next wait: what it was woken with is not lost.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Self

from verdant import core

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

__all__ = ["Timeout", "is_timeout", "with_timeout", "wrap_is_timeout"]

_MISSING = object()


class Timeout(BaseException):
    """Raises itself, or `exception`, in this green thread after `seconds`, unless cancelled.

    `seconds`: None never comes. `exception`: an instance or a class to raise instead; False makes
    the `with` block end silently. As a context manager it is cancelled when its block ends.
    """

    def __init__(
        self,
        seconds: float | None = None,
        exception: BaseException | type[BaseException] | bool | None = None,
    ) -> None:
        super().__init__()
        self.seconds = seconds
        self.exception = exception
        self._scope: core.Timeout | None = None
        self.start()

    def start(self) -> Self:
        """Begin to count. Its construction has done so; call this only after `cancel()`."""
        if self.pending:
            raise AssertionError(f"{self!r} is already started; to restart it, cancel it first")
        if self.seconds is not None:
            instead = self.exception
            if instead is None or isinstance(instead, bool):
                instead = self
            self._scope = core.Timeout(self.seconds, instead).__enter__()
        return self

    @property
    def pending(self) -> bool:
        """True while it counts and has not been raised."""
        return self._scope is not None and self._scope.pending

    @property
    def is_timeout(self) -> bool:
        """True: what `is_timeout()` looks for."""
        return True

    def cancel(self) -> None:
        """Do not raise it any more. Does not park."""
        scope, self._scope = self._scope, None
        if scope is not None:
            scope.cancel()

    def __enter__(self) -> Self:
        if self._scope is None:
            self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        self.cancel()
        return exc is self and self.exception is False

    def __str__(self) -> str:
        if self.seconds is None:
            return ""
        text = f"{self.seconds} second" + ("" if self.seconds == 1 else "s")
        if self.exception is None or self.exception is True:
            return text
        return text + (" (silent)" if self.exception is False else f" ({self.exception})")

    def __repr__(self) -> str:
        pending = " pending" if self.pending else ""
        exception = "" if self.exception is None else f" exception={self.exception!r}"
        kind = type(self).__name__
        return f"<{kind} at {id(self):#x} seconds={self.seconds}{pending}{exception}>"


def with_timeout(
    seconds: float | None, function: Callable[..., Any], *args: Any, **kwds: Any
) -> Any:
    """Call `function(*args, **kwds)` for `seconds` at the most; its result. Parks as it does.

    Out of time, `timeout_value` is returned if it was given, else the `Timeout` is raised.
    """
    timeout_value = kwds.pop("timeout_value", _MISSING)
    bound = Timeout(seconds)
    try:
        return function(*args, **kwds)
    except Timeout as exc:
        if exc is bound and timeout_value is not _MISSING:
            return timeout_value
        raise
    finally:
        bound.cancel()


def wrap_is_timeout(base: Any) -> Any:
    """Let `is_timeout()` be true of what `base`, a class or a function, makes. Does not park."""
    if isinstance(base, type):
        base.is_timeout = property(lambda _: True)  # type: ignore[attr-defined]
        return base

    @functools.wraps(base)
    def make(*args: Any, **kwargs: Any) -> Any:
        made = base(*args, **kwargs)
        made.is_timeout = True
        return made

    return make


def is_timeout(obj: object) -> bool:
    """True of timeouts of any library: the builtin's family, or marked with `is_timeout`."""
    return bool(getattr(obj, "is_timeout", False)) or isinstance(obj, TimeoutError)
