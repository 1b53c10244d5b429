"""Stalls: which green thread held the hub, on which line, and for how long.

Place     core; a native thread of its own that looks at a hub from outside. Opt-in.
Promise   a green thread that runs for longer than the bound without parking is told of once, while
          it still runs. The watched program pays nothing per switch: an idle hub is left asleep, a
          busy one is asked to answer once per `longer_than_s`.
Not here  what waits (inspection.py).

    watcher ── "answer me" ──▶ hub            no answer in time: whatever runs there now holds it
            ◀── answer ───────

Why not a hook at every switch, as the peers have it: that is paid for by every message, and the
programs that most need to be watched are those in production.
"""

from __future__ import annotations

import linecache
import os
import sys
import traceback
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from verdant.core.bystanders import bystanders
from verdant.core.hub import Hub, current_hub
from verdant.core.inspection import place_of
from verdant.core.originals import allocate_lock, monotonic, start_new_thread

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType, TracebackType

__all__ = ["LONGER_THAN_S_DEFAULT", "Stall", "StallDetector"]

# A tenth of a second is what a person notices, and ten thousand connections do at once.
LONGER_THAN_S_DEFAULT = 0.1

# Where a hub is while it waits for the kernel: poller.py and its siblings.
_POLLERS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "poller")


@dataclass(frozen=True, slots=True)
class Stall:
    """A green thread that holds its hub.

    `thread`: its name. `held_s`: seconds so far. `place`: the line it was on when it was caught,
    as `file:line in function`. `line`: the line's text. `stack`: the whole stack as text.
    """

    thread: str
    held_s: float
    place: str
    line: str
    stack: str

    def __str__(self) -> str:
        return (
            f"green thread {self.thread!r} has held the hub for {self.held_s:.3f} s at"
            f" {self.place}: {self.line}"
        )


def _log(stall: Stall) -> None:
    # Imported when there is something to say: the runtime itself does not log.
    import logging

    logging.getLogger("verdant.core").warning("%s\n%s", stall, stall.stack)


class StallDetector:
    """Watches this native thread's hub; a context manager, or `start()` and `stop()`.

    `longer_than_s`: seconds without a switch that make a stall. `report(stall)`: called once per
    stall, in the watcher's native thread, while the culprit runs; logs a warning when left out.
    `longest_s`: the longest stall so far, known when the hub has answered again.
    """

    def __init__(
        self,
        longer_than_s: float = LONGER_THAN_S_DEFAULT,
        report: Callable[[Stall], object] = _log,
    ) -> None:
        if longer_than_s <= 0:
            raise ValueError(f"longer_than_s must be > 0, not {longer_than_s}")
        self.longer_than_s = longer_than_s
        self.longest_s = 0.0
        self.stalls = 0
        self._report = report
        self._stop: _Flag | None = None

    def start(self) -> Self:
        """Begin to watch the hub of this native thread. Does not park."""
        if self._stop is None:
            self._stop = _Flag()
            hub = current_hub()
            start_new_thread(self._watch, (hub, self._stop))
            bystanders.watchers += 1
        return self

    def stop(self) -> None:
        """Watch no longer. Does not park."""
        stop, self._stop = self._stop, None
        if stop is not None:
            stop.set()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    # From here on everything runs in the watcher's native thread.

    def _watch(self, hub: Hub, stop: _Flag) -> None:
        while not stop.wait(self.longer_than_s) and hub.wakeup.is_open:
            holder = _holder(hub)
            if holder is not None:
                self._await_answer(hub, stop, holder)
        bystanders.watchers -= 1

    def _await_answer(self, hub: Hub, stop: _Flag, holder: FrameType) -> None:
        # Many who each run for a moment may keep the hub from answering too. Nobody of them is told
        # of: only one that runs at two looks in a row, which a turn of the hub does not allow.
        since = monotonic()
        told = False
        answer = _Answer()
        hub.run_soon_threadsafe(answer.give)
        while not answer.flag.wait(self.longer_than_s):
            if stop.is_set() or not hub.wakeup.is_open:
                return
            now_holding = _holder(hub)
            if now_holding is None:
                # It has come back to its poll in this very moment.
                continue
            if now_holding is not holder:
                holder, since, told = now_holding, monotonic(), False
            elif not told:
                told = True
                self._tell(hub, since)
            if told:
                self.longest_s = max(self.longest_s, monotonic() - since)
        if told:
            self.longest_s = max(self.longest_s, answer.given - since)

    def _tell(self, hub: Hub, since: float) -> None:
        frame = _frame_of(hub)
        if frame is None:
            return
        self.stalls += 1
        code, number = frame.f_code, frame.f_lineno
        place = place_of(frame) or f"{code.co_filename}:{number} in {code.co_qualname}"
        file, _, rest = place.rpartition(":")
        stall = Stall(
            thread=_name_of(frame, hub),
            held_s=monotonic() - since,
            place=place,
            line=linecache.getline(file, int(rest.split()[0])).strip(),
            stack="".join(traceback.format_stack(frame)),
        )
        try:
            self._report(stall)
        except Exception:  # noqa: BLE001 - a reporter that fails must not end the watch
            traceback.print_exc()


class _Flag:
    # An event for native threads; the stdlib's may be patched.

    __slots__ = ("_lock", "_set")

    def __init__(self) -> None:
        self._lock = allocate_lock()
        self._lock.acquire()
        self._set = False

    def set(self) -> None:
        self._set = True
        self._lock.release()

    def is_set(self) -> bool:
        return self._set

    def wait(self, timeout_s: float) -> bool:
        # One waiter, so that what it takes is its own.
        return self._set or self._lock.acquire(True, timeout_s)


class _Answer:
    __slots__ = ("flag", "given")

    def __init__(self) -> None:
        self.flag = _Flag()
        self.given = 0.0

    def give(self) -> None:
        # In the hub.
        self.given = monotonic()
        self.flag.set()


def _frame_of(hub: Hub) -> FrameType | None:
    """What the hub's native thread runs now; None while it polls, or when it has ended."""
    frame = sys._current_frames().get(hub.thread_ident)  # noqa: SLF001 - documented
    if frame is None or frame.f_code.co_filename.startswith(_POLLERS):
        return None
    return frame


def _holder(hub: Hub) -> FrameType | None:
    """The outermost frame that runs, which is that of a greenlet's own function; None as above."""
    frame = _frame_of(hub)
    while frame is not None and frame.f_back is not None:
        frame = frame.f_back
    return frame


def _name_of(frame: FrameType, hub: Hub) -> str:
    outermost = frame
    while outermost.f_back is not None:
        outermost = outermost.f_back
    thread = outermost.f_locals.get("self")
    if thread is hub:
        return "hub"
    return str(getattr(thread, "name", hub.main.name))
