"""Debug: what Eventlet programs ask when they look for a fault.

Place     eventlet, over its hub.
Differs   several readers of one descriptor are served in turn, so there is nothing to prevent. Who
          waits is always known, so there is nothing to switch on. What blocks everybody is told in
          the log `verdant.core`, with its stack, and goes on; Eventlet raises an error in it.
"""

from __future__ import annotations

import linecache
import os
import re
import sys
import threading
from typing import TYPE_CHECKING, Any

from verdant import core
from verdant.eventlet import hubs, tpool

if TYPE_CHECKING:
    from collections.abc import Collection
    from types import FrameType

__all__ = [
    "format_asyncio_info",
    "format_hub_listeners",
    "format_hub_timers",
    "format_threads_info",
    "hub_blocking_detection",
    "hub_exceptions",
    "hub_listener_stacks",
    "hub_prevent_multiple_readers",
    "hub_timer_stacks",
    "spew",
    "tpool_exceptions",
    "unspew",
]

_NAMES = re.compile(r"[^\W\d]\w*")


def spew(trace_names: Collection[str] | None = None, show_values: bool = False) -> None:
    """Print every line that runs from now on: of all modules, or of those named.

    `show_values`: and the values of the names in it.
    """

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        if event == "line":
            module = frame.f_globals.get("__name__", "[unknown]")
            if trace_names is None or module in trace_names:
                _show(frame, module, show_values)
        return trace

    sys.settrace(trace)


def _show(frame: FrameType, module: str, show_values: bool) -> None:
    line = linecache.getline(frame.f_code.co_filename, frame.f_lineno)
    sys.stdout.write(f"{module}:{frame.f_lineno}: {line.rstrip()}\n")
    if show_values:
        known = {**frame.f_globals, **frame.f_locals}
        values = [f"{name}={known[name]!r}" for name in _NAMES.findall(line) if name in known]
        if values:
            sys.stdout.write("\t" + " ".join(values) + "\n")


def unspew() -> None:
    """End `spew`."""
    sys.settrace(None)


def format_hub_listeners() -> str:
    """Who waits to read and to write, a line each."""
    hub = hubs.get_hub()
    lines = ["READERS:", *map(repr, hub.get_readers()), "WRITERS:", *map(repr, hub.get_writers())]
    return os.linesep.join(lines)


def format_hub_timers() -> str:
    """The timers that are set, a line each."""
    hub = hubs.get_hub()
    now = hub.clock()
    lines = [f"Timer(in {timer.deadline - now:.3f} s, {timer.callback!r})" for timer in hub.timers]
    return os.linesep.join(["TIMERS:", *lines])


def format_threads_info() -> str:
    """The threads that `threading` knows."""
    return os.linesep.join(["THREADS:", repr(threading.enumerate())])


def format_asyncio_info() -> str:
    """The tasks of asyncio's loop in this native thread."""
    # Here, since it is much to import for programs that have none.
    import asyncio

    try:
        tasks = asyncio.all_tasks()
    except RuntimeError:
        # None runs here.
        tasks = set()
    return os.linesep.join(["TASKS:", *map(repr, tasks)])


def hub_blocking_detection(state: bool = False, resolution: float = 1) -> None:
    """Report, or not, who keeps all others waiting for longer than `resolution` s.

    Raises AssertionError for no time at all. Does not park.
    """
    if resolution <= 0:
        raise AssertionError("resolution must be positive")
    while _detectors:
        _detectors.pop().stop()
    if state:
        _detectors.append(core.StallDetector(resolution).start())


_detectors: list[core.StallDetector] = []


def hub_exceptions(state: bool = True) -> None:
    """Print, or not, how green threads and callbacks fail. Does not park."""
    hubs.get_hub().set_timer_exceptions(state)
    if state:
        if _printers:
            core.on_unhandled(_printers.pop())
    elif not _printers:
        _printers.append(core.on_unhandled(lambda thread, exc: None))


# What reported failures before they were silenced.
_printers: list[Any] = []


def tpool_exceptions(state: bool = False) -> None:
    """Print, or not, what calls in `tpool` raise, besides raising it. Does not park."""
    tpool.set_quiet(not state)


def hub_listener_stacks(state: bool = False) -> None:
    """Nothing: a green thread's stack can be had at any time."""


def hub_timer_stacks(state: bool = False) -> None:
    """Nothing: there is no cost to be switched off."""


def hub_prevent_multiple_readers(state: bool = True) -> None:
    """Nothing: several readers of one descriptor are served in turn."""
