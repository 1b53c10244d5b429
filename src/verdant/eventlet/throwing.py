"""Throwing: what Eventlet's `*throw_args` mean, as one exception.

Place     eventlet; `kill`, `send_exception` and `exc_after` take their arguments so.
"""

from __future__ import annotations

from greenlet import GreenletExit

__all__ = ["exception_of"]


def exception_of(*throw_args: object) -> BaseException:
    """The exception that `throw(*throw_args)` would raise: none given means GreenletExit.

    Taken are an instance, a class, a class and its argument, or what `sys.exc_info()` returns.
    Raises TypeError for anything else. Does not park.
    """
    if not throw_args:
        return GreenletExit()
    kind, value, traceback = (*throw_args, None, None)[:3]
    if isinstance(kind, BaseException):
        exc = kind
    elif isinstance(value, BaseException):
        exc = value
    elif isinstance(kind, type) and issubclass(kind, BaseException):
        exc = kind() if value is None else kind(*value) if isinstance(value, tuple) else kind(value)
    else:
        raise TypeError(f"exceptions must be classes, or instances, not {type(kind).__name__}")
    return exc if traceback is None else exc.with_traceback(traceback)  # type: ignore[arg-type]
