"""Hub: the loop that runs what is ready, fires what is due, and polls.

Place     core; one per native thread, in a greenlet of its own, the parent of all green threads.
Promise   a green thread is resumed by exactly one cause per wait; an interrupt (cancel, timeout,
          Ctrl-C) is delivered while its thread is parked, never between a wake-up and its run, so
          nothing that was handed over is lost.
Not here  sockets (green/); what a wait means (parking.py, watch.py).

    ready deque ──▶ run each ──▶ interrupts ──▶ due timers ──▶ poll ──▶ switch to fd waiters ─┐
         ▲                                                                                   │
         └───────────────────────────────────────────────────────────────────────────────────┘

Why direct switches: the event loop calls `waiter.switch()` itself. A callback object per event,
or a watcher that is started and stopped per wait, is what the peers pay for in every message.
"""

from __future__ import annotations

import os
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, cast

from greenlet import getcurrent, greenlet

from verdant.core.current import slot
from verdant.core.originals import get_ident, monotonic, set_wakeup_fd
from verdant.core.poller import GONE, READABLE, WRITABLE, Poller, make_poller
from verdant.core.timers import Timer, Timers

if TYPE_CHECKING:
    from collections.abc import Callable

    from verdant.core.parking import Parkable
    from verdant.core.watch import FdWatch

__all__ = ["Hub", "current_hub"]

# Bytes taken from the wake-up pipe at once; each byte is one wake-up, all of them mean the same.
WAKEUP_READ_BYTES = 4096


class Hub:
    """The scheduler of one native thread. Made by `current_hub()`; users rarely see it."""

    __slots__ = (
        "_foreign",
        "_wake_read_fd",
        "_wake_write_fd",
        "clock",
        "greenlet",
        "main",
        "overdue",
        "poller",
        "ready",
        "switch",
        "thread_ident",
        "timers",
        "watches",
    )

    def __init__(
        self, poller: Poller | None = None, clock: Callable[[], float] = monotonic
    ) -> None:
        self.poller = poller if poller is not None else make_poller()
        self.clock = clock
        self.thread_ident = get_ident()
        self.ready: deque[Callable[[], object]] = deque()
        self.timers = Timers()
        self.watches: dict[int, FdWatch] = {}
        # Threads with an interrupt that waits for them to be parked.
        self.overdue: list[Parkable] = []
        self._foreign: deque[Callable[[], object]] = deque()

        root = getcurrent()
        while root.parent is not None:
            root = root.parent
        # The greenlet that runs the program itself takes part like any green thread; greenlets
        # have a `__dict__`, so it can carry the few attributes that a green thread declares.
        root.__dict__.update(hub=self, name="main", scheduled=False, interrupts=None)
        self.main = cast("Parkable", root)
        self.greenlet = greenlet(self._run, root)
        self.switch = self.greenlet.switch

        self._wake_read_fd, self._wake_write_fd = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self.poller.register(self._wake_read_fd)
        try:
            # A signal then ends the poll, and what its handler made ready runs at once. Raises
            # ValueError outside the main thread, which never sees signals anyway.
            previous = set_wakeup_fd(self._wake_write_fd, warn_on_full_buffer=False)
            if previous != -1:
                set_wakeup_fd(previous)
        except ValueError:
            pass

    def run_soon(self, fn: Callable[..., object], *args: object) -> None:
        """Call `fn(*args)` in the hub on its next turn. It must not park. From this thread only."""
        self.ready.append(partial(fn, *args))

    def run_soon_threadsafe(self, fn: Callable[..., object], *args: object) -> None:
        """Call `fn(*args)` in the hub soon; from any native thread. `fn` must not park."""
        self._foreign.append(partial(fn, *args))
        try:
            os.write(self._wake_write_fd, b"\0")
        except BlockingIOError:
            # The pipe is full of wake-ups already: one more would say nothing new.
            return

    def run_later(self, delay_s: float, fn: Callable[..., object], *args: object) -> Timer:
        """Call `fn(*args)` in the hub after `delay_s` seconds. It must not park."""
        return self.timers.add(self.clock() + delay_s, fn, *args)

    # From here on everything runs in the hub's own greenlet.

    def _run(self) -> None:
        while True:
            try:
                self._loop()
            except BaseException as exc:  # noqa: BLE001 - handed on, below
                # Only a signal handler raises here (Ctrl-C while the hub polls or dispatches), or
                # a callback that broke its promise. Either is the main program's to hear of. The
                # events in hand are lost with it, so every waiter looks for itself.
                self.interrupt(self.main, exc)
                self._rouse_everyone()

    def _loop(self) -> None:  # noqa: C901 - one function: a call per event is what it avoids
        # Locals: each of these is read once per event or turn.
        poll = self.poller.poll
        ready = self.ready
        heap = self.timers.heap
        watches = self.watches
        wake_fd = self._wake_read_fd
        while True:
            # Only those that are ready now: one that makes itself ready again must not keep the
            # sockets from being polled.
            for _ in range(len(ready)):
                ready.popleft()()
            if self.overdue:
                self._deliver_interrupts()
            if heap:
                self._fire_due()
                timeout = self._poll_timeout()
            else:
                timeout = 0 if ready or self.overdue else None
            for fd, event in poll(timeout):
                watch = watches.get(fd)
                if watch is None:
                    if fd == wake_fd:
                        self._take_foreign()
                    continue
                if event & READABLE:
                    watch.readable = True
                    if event & GONE:
                        watch.gone = True
                    waiter = watch.reader
                    if waiter is not None:
                        watch.reader = None
                        waiter.switch()
                        if watch.more_readers:
                            watch.rouse_readers()
                if event & WRITABLE:
                    waiter = watch.writer
                    if waiter is not None:
                        watch.writer = None
                        waiter.switch()
                        if watch.more_writers:
                            watch.rouse_writers()

    def _poll_timeout(self) -> float | None:
        if self.ready or self.overdue:
            return 0
        deadline = self.timers.next_deadline()
        if deadline is None:
            return None
        return max(0.0, deadline - self.clock())

    def _fire_due(self) -> None:
        deadline = self.timers.next_deadline()
        if deadline is None or deadline > (now := self.clock()):
            return
        for callback, args in self.timers.due(now):
            callback(*args)
        if self.overdue:
            self._deliver_interrupts()

    def _take_foreign(self) -> None:
        try:
            while len(os.read(self._wake_read_fd, WAKEUP_READ_BYTES)) == WAKEUP_READ_BYTES:
                pass
        except BlockingIOError:
            pass
        # Read first, take second: what is appended in between has written its byte again.
        foreign = self._foreign
        while foreign:
            self.ready.append(foreign.popleft())

    def interrupt(self, thread: Parkable, exc: BaseException) -> None:
        """Raise `exc` in `thread` as soon as it is parked (at once when it is parked now)."""
        if thread.interrupts is None:
            thread.interrupts = deque()
        thread.interrupts.append(exc)
        self.overdue.append(thread)

    def _deliver_interrupts(self) -> None:
        overdue, self.overdue = self.overdue, []
        for thread in overdue:
            if not thread.interrupts or thread.dead:
                continue
            if thread.scheduled:
                # Woken already, so what it waited for is its own. It will hear of this at its
                # next wait: there `park()` looks, and for a wait on a descriptor this list does.
                self.overdue.append(thread)
                continue
            exc = thread.interrupts.popleft()
            if thread.interrupts:
                self.overdue.append(thread)
            thread.throw(exc)

    def _rouse_everyone(self) -> None:
        for watch in list(self.watches.values()):
            watch.readable = True
            watch.rouse_readers()
            watch.rouse_writers()
        self._take_foreign()


def current_hub() -> Hub:
    """The hub of this native thread, made on first use."""
    try:
        return slot.hub
    except AttributeError:
        hub = slot.hub = Hub()
        return hub
