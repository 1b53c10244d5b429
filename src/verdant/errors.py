"""Errors: the root of the family, and the few that more than one room raises.

Place     floor 0; every room may import it.
Promise   every error Verdant raises on purpose is a `VerdantError`, so one `except` catches them
          all, and carries a `code` that leads to its entry in `docs/reference/errors.md`.
          `Cancelled` alone stands outside `Exception`.
Not here  errors of a single room (its own `errors.py`).
"""

from __future__ import annotations

from typing import ClassVar

__all__ = [
    "Busy",
    "Cancelled",
    "Closed",
    "ConfigurationError",
    "TimedOut",
    "VerdantError",
    "WouldBlock",
]


class VerdantError(Exception):
    """Raised as one of its subclasses only. Its text names the thing, the place and the remedy."""

    code: ClassVar[str] = "verdant-error"


class WouldBlock(VerdantError):
    """Raised by the `_nowait` form of a call that would have to wait.

    The caller's choice; wait, or try again later.
    """

    code = "would-block"


class TimedOut(VerdantError, TimeoutError):
    """Raised when a wait lasted longer than its bound.

    The machine's or a peer's fault; try again, or allow more time.
    """

    code = "timed-out"


class Closed(VerdantError):
    """Raised when you use what you closed yourself. The caller's fault; open a new one."""

    code = "closed"


class Busy(VerdantError):
    """Raised when two threads use one end of something that serves one at a time.

    The caller's fault; add a lock.
    """

    code = "busy"


class ConfigurationError(VerdantError):
    """Raised when a configuration cannot be used.

    The operator's fault; the text names the file, the line and the key.
    """

    code = "configuration"


class Cancelled(BaseException):
    """Raised inside a green thread that was cancelled, at the place where it waits.

    Nobody's fault: let it pass.

    A `BaseException`, so that `except Exception` in straight-line code does not swallow it.
    """

    code: ClassVar[str] = "cancelled"
