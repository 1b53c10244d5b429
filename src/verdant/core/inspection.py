"""Inspection: every green thread, where it is, and what it waits for, as text.

Place     core; deadlock.py tells its error with it, users call `dump()` when a program hangs.
Promise   looking changes nothing and parks nobody. It costs nothing until somebody looks: green
          threads are found through the garbage collector, not kept in a list.
Not here  who held the hub for too long (stalls.py); counting (statistics.py).

What a green thread waits for is read off its stack: the innermost frame of Verdant's that is not
about parking itself is the call that parked, its `self` is what was called.
"""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import sys
import traceback
from typing import TYPE_CHECKING, cast

from greenlet import getcurrent, greenlet

from verdant.core.bystanders import bystanders
from verdant.core.current import hubs, slot
from verdant.core.originals import get_ident, write

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

    from verdant.core.hub import Hub
    from verdant.core.parking import Parkable

__all__ = ["describe_waits", "dump", "dump_on_signal", "place_of", "threads_of"]

_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep

# Frames that tell how a thread parks, not what for.
_PLUMBING = frozenset(
    _PACKAGE + name.replace("/", os.sep)
    for name in ("core/parking.py", "core/waitqueue.py", "core/hub.py", "green/waiting.py")
)


def threads_of(hub: Hub) -> list[Parkable]:
    """The green threads of `hub` that have not ended, main first. Does not park."""
    found = [
        cast("Parkable", thing)
        for thing in gc.get_objects()
        # Not isinstance(), which would ask strangers' proxies for their `__class__`.
        if issubclass(type(thing), greenlet)
        and getattr(thing, "hub", None) is hub
        and not thing.dead
        and thing is not hub.main
    ]
    return [hub.main, *found]


def describe_waits(hub: Hub) -> list[str]:
    """A line per green thread of `hub`: its name, what it waits for, and where. Does not park."""
    return [f"{thread.name!r} {_doing(thread, _frame_of(thread))}" for thread in threads_of(hub)]


def dump() -> str:
    """Every green thread of every native thread, with its stack and what it waits for, as text.

    Does not park. Looks at every object that Python keeps track of: for a person who asks, not for
    a loop.
    """
    return "".join(_dump_hub(hub) for hub in list(hubs)) or "no native thread has a hub\n"


def dump_on_signal(signum: int = signal.SIGUSR2) -> None:
    """Write `dump()` to stderr whenever the process gets `signum`. Does not park.

    From the main native thread only, else ValueError. The dump comes as soon as that thread runs
    Python again: one that is stuck inside a C function does not answer.
    """
    bystanders.handlers.add(_write_dump)
    signal.signal(signum, _write_dump)


def _write_dump(_number: int, _frame: FrameType | None) -> None:
    text = f"verdant: process {os.getpid()}\n{dump()}".encode(errors="backslashreplace")
    # Not through sys.stderr: the signal may have come in the middle of a write to it.
    with contextlib.suppress(OSError):
        while text:
            text = text[write(2, text) :]


def _dump_hub(hub: Hub) -> str:
    threads = threads_of(hub)
    here = " (this one)" if hub.thread_ident == get_ident() else ""
    parts = [f"native thread {hub.thread_ident:#x}{here}: {len(threads)} green threads\n"]
    for thread in threads:
        frame = _frame_of(thread)
        parts.append(f"\n  {thread.name!r} {_doing(thread, frame)}\n")
        if frame is not None:
            stack = "".join(traceback.format_stack(frame))
            parts.append("".join(f"  {line}\n" for line in stack.splitlines()))
    return "".join(parts) + "\n"


def _frame_of(thread: Parkable) -> FrameType | None:
    frame: FrameType | None = cast("greenlet", thread).gr_frame
    if frame is not None:
        return frame
    if cast("object", thread) is getcurrent():
        return sys._getframe(1)  # noqa: SLF001 - documented, in spite of its name
    if getattr(slot, "hub", None) is not thread.hub and _is_running(thread):
        # Running now, or about to, in another native thread.
        return sys._current_frames().get(thread.hub.thread_ident)  # noqa: SLF001
    return None


def _is_running(thread: Parkable) -> bool:
    # A greenlet that has begun and has no frame of its own is the one that runs.
    return bool(cast("greenlet", thread))


def _doing(thread: Parkable, frame: FrameType | None) -> str:
    if frame is None:
        return "has not begun" if not _is_running(thread) else "runs"
    place = place_of(frame)
    where = "" if place is None else f" at {place}"
    if cast("greenlet", thread).gr_frame is None:
        return f"runs{where}"
    if thread.scheduled:
        return f"is ready to go on{where}"
    return f"waits in {_reason(frame)}{where}"


def _frames(frame: FrameType | None) -> Iterator[FrameType]:
    while frame is not None:
        yield frame
        frame = frame.f_back


def place_of(frame: FrameType) -> str | None:
    """The innermost place outside Verdant, as `file:line in function`. Does not park.

    None when there is none: a green thread that runs a method of Verdant's own.
    """
    for outer in _frames(frame):
        code = outer.f_code
        if not code.co_filename.startswith(_PACKAGE):
            return f"{code.co_filename}:{outer.f_lineno} in {code.co_qualname}"
    return None


def _reason(frame: FrameType) -> str:
    calls = []
    for inner in _frames(frame):
        if not inner.f_code.co_filename.startswith(_PACKAGE):
            break
        if inner.f_code.co_filename not in _PLUMBING:
            calls.append(inner)
    if not calls:
        return "the hub"
    holders = (getattr(_self_of(call), "owner", None) for call in calls)
    holder = next(
        (owner.name for owner in holders if owner is not None and hasattr(owner, "interrupts")),
        None,
    )
    return _call(calls[0]) + (f", held by {holder!r}," if holder is not None else "")


def _self_of(frame: FrameType) -> object:
    return frame.f_locals.get("self")


def _call(frame: FrameType) -> str:
    function = frame.f_code.co_name
    what = _self_of(frame)
    if what is None:
        return function
    kind = type(what).__name__
    called = getattr(frame.f_locals.get("fn"), "__qualname__", None)
    if called is not None:
        # A call that is made elsewhere, or later: in a worker, in a pool.
        return f"{kind}.{function}({called})"
    if isinstance(what, greenlet):
        return f"{kind}.{function} for {getattr(what, 'name', '?')!r} to end"
    fd = getattr(what, "fd", None)
    if isinstance(fd, int):
        return f"{kind}.{function} for descriptor {fd}"
    # The address tells whether two wait for the same thing.
    return f"{kind}.{function} ({kind} at {id(what):#x})"
