"""Ctrl-C: KeyboardInterrupt for the main program, where it waits, and for nobody else.

Place     core; hub.py asks for it, green/signal.py gives it its stdlib name under a patch.
Promise   a green thread never meets it between two of its lines, where a place in a pool or a
          result would be lost: it is raised in the main program, at its next wait. While the main
          program itself runs, at once; but where it has just called into Verdant, again at its
          next wait. One that comes while another has not been raised yet is raised on the spot, so
          that whoever never waits can be stopped.
Not here  other signals: their handlers run at once, wherever the program happens to be.

Why at the first hub and not at the first import: a program that never parks has no green threads to
be spared. And only in place of Python's own handler; what a program has set is what it wants.
"""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

from greenlet import getcurrent, greenlet

from verdant.core.current import slot

if TYPE_CHECKING:
    from types import FrameType

    from verdant.core.hub import Hub

__all__ = ["default_int_handler", "take_over_ctrl_c"]

_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep

# Python's own, whatever a patch makes of its name later.
_stdlib_handler = signal.default_int_handler


def default_int_handler(signalnum: int, frame: FrameType | None, /) -> None:
    """As `signal.default_int_handler`: KeyboardInterrupt in the main program, wherever it waits."""
    hub: Hub | None = getattr(slot, "hub", None)
    if hub is None or not hub.wakeup.is_open or hub.main.dead or _main_computes(hub, frame):
        raise KeyboardInterrupt
    pending = hub.main.interrupts or ()
    if hub.ctrl_c is not None or any(type(exc) is KeyboardInterrupt for exc in pending):
        raise KeyboardInterrupt
    hub.ctrl_c = KeyboardInterrupt()
    # Through the door for strangers: this runs between any two instructions, the hub's too.
    hub.run_soon_threadsafe(_arrive, hub)


def _arrive(hub: Hub) -> None:
    # In the hub.
    exc, hub.ctrl_c = hub.ctrl_c, None
    if exc is not None:
        hub.interrupt(hub.main, exc)


def _main_computes(hub: Hub, frame: FrameType | None) -> bool:
    if frame is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        # A lock half taken, or itself in a line and not parked yet. It will be out soon.
        return False
    # Objects to compare: the main program's greenlet is no GreenThread. It may have made greenlets
    # of its own, whose waits are not for the hub.
    main: object = hub.main
    try:
        current: greenlet | None = getcurrent()
    except RuntimeError:
        # The interpreter is ending: greenlets are no more, and main will wait for nothing.
        return True
    while current is not None and current is not hub.greenlet:
        if current is main:
            return True
        current = current.parent
    return False


def take_over_ctrl_c() -> None:
    """Put ours in place of Python's own handler, if that is what is set. Does not park.

    Does nothing outside the main native thread: only there may handlers be set, and only there do
    they run.
    """
    if signal.getsignal(signal.SIGINT) is _stdlib_handler:
        try:
            signal.signal(signal.SIGINT, default_int_handler)
        except ValueError:
            return
