"""Event: a flag to wait for.

Place     sync, on a wait queue.
Promise   `set()` wakes everybody who waits, in order, and nobody who comes later has to wait.
          It may be called, and waited for, in any native thread: nobody sleeps through it.
"""

from __future__ import annotations

from verdant.core import WaitQueue

__all__ = ["Event"]


class Event:
    """A flag, at first down, as `threading.Event`."""

    __slots__ = ("_set", "_waiters")

    def __init__(self) -> None:
        self._set = False
        self._waiters = WaitQueue()

    def is_set(self) -> bool:
        """True while the flag is up. Does not park."""
        return self._set

    def set(self) -> None:
        """Raise the flag and wake everybody. From any native thread. Does not park."""
        self._set = True
        self._waiters.wake_all()

    def clear(self) -> None:
        """Lower the flag. Does not park."""
        self._set = False

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the flag is up. Parks. Returns False when `timeout` seconds were not enough.

        True means that it was raised since; it may be down again.
        """
        if self._set:
            return True
        # Asked again in line: another native thread may have raised it since.
        return self._waiters.wait_in_time(timeout, self.is_set)
