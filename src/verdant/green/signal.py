"""Signal: the stdlib's waits for signals, and a function in a green thread when one arrives.

Place     green, on the hub. Plain handlers set with the stdlib's `signal.signal` work as they are:
          a signal ends the hub's wait and its handler runs at once, but wherever the program
          happens to be, so it must not wait for anything.
Promise   a function given to `on_signal` may wait: it runs in a green thread of its own, soon.
          `pause()` returns when a handler has run; the others take signals that are blocked
          (`signal.pthread_sigmask`), as the stdlib's do.
Not here  what Ctrl-C means (core/ctrl_c.py), and what a program does on which signal (cli/).

A blocked signal makes no event that a hub could wait for: no handler runs, and the kernel's
signalfd is not in Python. So `sigwait` and its like ask, and sleep in between. Rejected: a native
thread that waits in their place. It sees no signal that is for one thread alone, and when its green
thread is interrupted it goes on waiting, and takes a signal that is somebody else's by then.
"""

from __future__ import annotations

import signal as _stdlib
from typing import TYPE_CHECKING, Any

from verdant.core import current_hub, current_thread, default_int_handler, monotonic, sleep, spawn
from verdant.green.waiting import may_park
from verdant.sync import Event

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import FrameType

__all__ = ["default_int_handler", "on_signal", "pause", "sigtimedwait", "sigwait", "sigwaitinfo"]

# Seconds between two looks for a blocked signal: later than this it is not taken, and a hundred
# looks a second are a thousandth of a processor.
ASK_S = 0.01

_signal = _stdlib.signal
_pause = _stdlib.pause
_sigwait = _stdlib.sigwait
# None on macOS, where the patch finds no such name to replace, and `sigwait` is the stdlib's own.
_sigwaitinfo: Any = getattr(_stdlib, "sigwaitinfo", None)
_sigtimedwait: Any = getattr(_stdlib, "sigtimedwait", None)


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


def pause() -> None:
    """As `signal.pause`: return after the next handler. Parks.

    Blocks natively outside the main native thread, where no handlers run, and where the program has
    set a wake-up descriptor of its own (`signal.set_wakeup_fd`).
    """
    if not may_park() or not current_hub().wakeup.hear_signals():
        _pause()
        return
    thread = current_thread()
    came = Event()

    def tell() -> None:
        # In the hub. Where the handler's news is an interrupt, such as Ctrl-C, that ends the wait.
        if not thread.interrupts:
            came.set()

    listeners = thread.hub.wakeup.listeners
    listeners.append(tell)
    try:
        came.wait()
    finally:
        listeners.remove(tell)


def sigtimedwait(sigset: Iterable[int], timeout: float, /) -> Any:  # noqa: ANN401 - struct_siginfo
    """As `signal.sigtimedwait`: None when `timeout` seconds were not enough. Parks.

    A signal is taken up to `ASK_S` seconds late.
    """
    if not may_park() or timeout < 0:
        return _sigtimedwait(sigset, timeout)
    return _taken([*sigset], monotonic() + timeout)


def sigwaitinfo(sigset: Iterable[int], /) -> Any:  # noqa: ANN401 - struct_siginfo
    """As `signal.sigwaitinfo`. Parks. As late as `sigtimedwait`."""
    if not may_park():
        return _sigwaitinfo(sigset)
    return _taken([*sigset], None)


def sigwait(sigset: Iterable[int]) -> int:
    """As `signal.sigwait`. Parks. As late as `sigtimedwait`."""
    if _sigtimedwait is None or not may_park():
        return _sigwait(sigset)
    number: int = _taken([*sigset], None).si_signo
    try:
        return _stdlib.Signals(number)
    except ValueError:
        # One of the real-time signals, which have no names.
        return number


def _taken(signals: list[int], deadline: float | None) -> Any:  # noqa: ANN401 - struct_siginfo
    while (found := _sigtimedwait(signals, 0)) is None:
        left_s = ASK_S if deadline is None else min(ASK_S, deadline - monotonic())
        if left_s <= 0:
            return None
        sleep(left_s)
    return found
