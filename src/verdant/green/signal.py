"""Signal: run a function in a green thread when a signal arrives.

Place     green, on the hub. Plain handlers set with the stdlib's `signal.signal` work as they are:
          a signal ends the hub's wait and its handler runs at once, but wherever the program
          happens to be, so it must not wait for anything.
Promise   a function given to `on_signal` may wait: it runs in a green thread of its own, soon.
Not here  what Ctrl-C means (core/ctrl_c.py), and what a program does on which signal (cli/).
"""

from __future__ import annotations

import signal as _stdlib
from typing import TYPE_CHECKING, Any

from verdant.core import current_hub, default_int_handler, spawn

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

__all__ = ["default_int_handler", "on_signal"]

_signal = _stdlib.signal


def on_signal(signum: int, fn: Callable[[], object]) -> Any:  # noqa: ANN401 - the stdlib's own
    """Run `fn()` in a new green thread of this hub at each arrival of `signum`. Does not park.

    From the main native thread only, else ValueError. Returns the handler so far, for
    `signal.signal()` to put back.
    """
    hub = current_hub()

    def handle(_: int, __: FrameType | None) -> None:
        # In the main thread, between any two instructions of it: hence the door for strangers,
        # which also ends a poll that a foreign wake-up descriptor did not.
        hub.run_soon_threadsafe(spawn, fn)

    return _signal(signum, handle)
