"""Waiting: how a thread of either kind, green or native, stops until somebody wakes it.

Place     green; thread.py's locks and queue.py stand on it, the other twins ask `may_park()`.
Promise   a waiter is woken once, from any native thread, and by its own hub: a wake-up from abroad
          travels through `run_soon_threadsafe`, so it never races with a timeout or `cancel()`.
Not here  who waits for what (thread.py, queue.py); descriptors (select.py).

A native thread without a hub has no green threads, so nothing there could run while it waits: it
blocks natively. That is what makes one lock serve worker threads, libraries' own threads and green
threads at once, and why nothing below makes a hub that was not there.
"""

from __future__ import annotations

from typing import Protocol

from greenlet import getcurrent

from verdant.core import Hub, Parkable, TimedOut, current_thread, park, slot, unpark
from verdant.core.originals import allocate_lock

__all__ = ["Waiter", "may_park", "new_waiter"]


class Waiter(Protocol):
    """One thread that waits to be woken once."""

    def wait(self, timeout_s: float | None) -> bool:
        """Stop until woken. False when `timeout_s` seconds were not enough. Parks or blocks."""

    def wake(self) -> None:
        """End the wait. Called once at most, from any native thread. Does not park."""


class _GreenWaiter:
    __slots__ = ("_gone", "_hub", "_thread")

    def __init__(self, thread: Parkable) -> None:
        self._hub = thread.hub
        self._thread = thread
        # Set and read in the waiter's own native thread alone.
        self._gone = False

    def wait(self, timeout_s: float | None) -> bool:
        try:
            # Woken by _arrive(), in our hub.
            park(timeout_s)
        except BaseException as exc:
            self._gone = True
            # A Timeout scope around us is a subclass, and somebody else's bound.
            if timeout_s is not None and type(exc) is TimedOut:
                return False
            raise
        return True

    def wake(self) -> None:
        if getattr(slot, "hub", None) is self._hub:
            self._arrive()
        else:
            self._hub.run_soon_threadsafe(self._arrive)

    def _arrive(self) -> None:
        if not self._gone:
            unpark(self._thread)


class _NativeWaiter:
    __slots__ = ("_lock",)

    def __init__(self) -> None:
        self._lock = allocate_lock()
        self._lock.acquire()

    def wait(self, timeout_s: float | None) -> bool:
        return self._lock.acquire(True, -1 if timeout_s is None else timeout_s)

    def wake(self) -> None:
        self._lock.release()


def may_park() -> bool:
    """True in a thread that has a hub, unless it is the hub itself that runs.

    Where this is False a blocking call keeps nobody waiting who could run, or (in the hub) has no
    thread to park: the original is then the right call. Does not park.
    """
    hub: Hub | None = getattr(slot, "hub", None)
    return hub is not None and getcurrent() is not hub.greenlet


def new_waiter() -> Waiter:
    """A waiter for the thread that runs now. Does not park.

    Raises RuntimeError in the hub itself (a timer's callback, a signal handler, a finalizer), which
    cannot wait for a green thread that only it could resume.
    """
    hub: Hub | None = getattr(slot, "hub", None)
    if hub is None:
        return _NativeWaiter()
    if getcurrent() is hub.greenlet:
        raise RuntimeError(
            "a callback of the hub cannot wait for a lock that is held: spawn a green thread there"
        )
    return _GreenWaiter(current_thread())
