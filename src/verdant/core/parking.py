"""Parking: how a green thread stops until somebody wakes it.

Place     core; with watch.py the only place that switches greenlets.
Promise   `park()` returns after one `unpark()`, or raises one interrupt; never both. The caller
          undoes its registration in an `except BaseException` clause: on the way back from
          `unpark()` there is nothing to undo.
Not here  waiting for a descriptor (watch.py, which the hub wakes without the ready deque).

    try:
        park()                  # woken by whoever took us off `waiters`
    except BaseException:
        waiters.remove(me)      # interrupted: nobody woke us, so nothing was handed to us
        raise
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, cast

from greenlet import getcurrent

from verdant.core.current import slot
from verdant.core.hub import Hub, current_hub
from verdant.errors import TimedOut

if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Callable

__all__ = ["Parkable", "current_thread", "interrupt", "park", "running", "unpark", "withdraw"]


class Parkable(Protocol):
    """What the hub needs of a green thread; the program's own main greenlet has it too."""

    hub: Hub
    scheduled: bool
    interrupts: deque[BaseException] | None

    @property
    def name(self) -> str:
        """What reports call it."""

    @property
    def dead(self) -> bool:
        """True when it has ended."""

    def switch(self) -> object:
        """Run it now. The hub's business alone."""

    def throw(self, exc: BaseException, /) -> object:
        """Run it now, with an exception. The hub's business alone."""


# The green thread that runs now, without a check: for waits on what only a thread that has its hub
# can hold. `getcurrent` itself, not a wrapper: it is called for every message.
running = cast("Callable[[], Parkable]", getcurrent)


def current_thread() -> Parkable:
    """The green thread that runs now (the main program counts as one). Does not park."""
    me = running()
    try:
        me.interrupts  # noqa: B018 - asked for, not used
    except AttributeError:
        # The main greenlet of a native thread gets its attributes with its hub.
        current_hub()
    return me


def park(timeout_s: float | None = None) -> None:
    """Stop this green thread until `unpark(it)`.

    `timeout_s`: seconds until `TimedOut` is raised instead; None waits for ever. Raises whatever
    interrupt comes first (`Cancelled`, a `Timeout` around the call, KeyboardInterrupt in main).
    """
    me = current_thread()
    if me.interrupts:
        raise me.interrupts.popleft()
    if timeout_s is None:
        me.hub.leave()
        me.scheduled = False
        return
    expired = TimedOut(f"nothing came within {timeout_s:g} s")
    timer = me.hub.run_later(max(0.0, timeout_s), me.hub.interrupt, me, expired)
    try:
        me.hub.leave()
        me.scheduled = False
    finally:
        timer.cancel()
        # Fired after we were woken, before we ran: the wake-up came first and wins.
        withdraw(me, expired)


def unpark(thread: Parkable) -> None:
    """Make a parked green thread ready to run. Whoever calls must have taken it off its list."""
    thread.scheduled = True
    thread.hub.make_ready(thread)


def interrupt(thread: Parkable, exc: BaseException) -> None:
    """Raise `exc` in `thread` at its present wait, or at its next one. From any native thread."""
    hub = thread.hub
    if getattr(slot, "hub", None) is hub:
        hub.interrupt(thread, exc)
    else:
        hub.run_soon_threadsafe(hub.interrupt, thread, exc)


def withdraw(thread: Parkable, exc: BaseException) -> bool:
    """Take back an interrupt that has not been raised yet. Returns False when there was none."""
    if thread.interrupts:
        for pending in thread.interrupts:
            if pending is exc:
                thread.interrupts.remove(pending)
                return True
    return False
