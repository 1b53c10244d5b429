"""Deadlock: when nothing is left that could wake the main program, and who waits for what then.

Place     core; hub.py asks when it has been idle for a while, and raises the answer in main.
Promise   a program that could still go on is never accused. One that could not may go unaccused.
Not here  when to ask (hub.py); how a wait is told (inspection.py).

A hub is stuck when nothing is ready, no timer is set, and all of these hold:

    no green thread waits for a descriptor       the kernel could have news
    no call is under way in a worker             it could finish, or call back
    no other native thread is in the process     it could call run_soon_threadsafe, set an event, …
    no signal has a handler written in Python    it could do the same

Threads are counted by the kernel where it tells (a library's own threads can call back into Python
without Python knowing of them), less our idle workers and watchers. So a program that has loaded a
library with threads of its own is never accused; `dump_on_signal()` shows where it hangs.

One handler does not count: the one for SIGINT, Python's own or ours. Ctrl-C ends a program, it is
not what a program waits for; one that waits for nothing else is told that it will wait for ever.
Nor does ours that prints the dump.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING

from verdant.core.bystanders import bystanders
from verdant.core.ctrl_c import default_int_handler
from verdant.core.inspection import describe_waits
from verdant.errors import VerdantError

if TYPE_CHECKING:
    from verdant.core.hub import Hub

__all__ = ["Deadlock", "find_deadlock"]


class Deadlock(VerdantError):
    """Raised in the main program when nothing is left that could wake it.

    The program's fault: its text says who waits for what. Give that wait a bound, or see to it that
    somebody ends it.
    """

    code = "deadlock"


def find_deadlock(hub: Hub) -> Deadlock | None:
    """The error to raise in main when `hub`, idle and without timers, is stuck. Does not park."""
    if _waits_for_descriptors(hub) or _others_may_wake() or _signals_may_wake():
        return None
    lines = "\n".join(f"  {line}" for line in describe_waits(hub))
    return Deadlock(f"nothing is left that could wake the main program:\n{lines}")


def _waits_for_descriptors(hub: Hub) -> bool:
    return any(
        watch.reader or watch.writer or watch.more_readers or watch.more_writers
        for watch in hub.watches.values()
    )


def _others_may_wake() -> bool:
    if bystanders.jobs:
        return True
    return _native_threads() > 1 + bystanders.workers + bystanders.watchers


def _native_threads() -> int:
    try:
        return len(os.listdir("/proc/self/task"))
    except OSError:
        # Not Linux: those that Python knows of.
        return len(sys._current_frames())  # noqa: SLF001 - documented, in spite of its name


def _signals_may_wake() -> bool:
    harmless = {signal.default_int_handler, default_int_handler, *bystanders.handlers}
    for number in signal.valid_signals():
        handler = signal.getsignal(number)
        if callable(handler) and handler not in harmless:
            return True
    return False
