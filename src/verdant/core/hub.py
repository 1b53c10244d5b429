"""Hub: the loop that runs what is ready, fires what is due, and polls.

Place     core; one per native thread, in a greenlet of its own, the parent of all green threads.
Promise   a green thread is resumed by exactly one cause per wait; an interrupt (cancel, timeout,
          Ctrl-C) is delivered while its thread is parked, never between a wake-up and its run, so
          nothing that was handed over is lost.
Not here  sockets (green/); what a wait means (parking.py, watch.py); whether an idle hub is stuck
          (deadlock.py); what becomes of it in a forked child (forking.py).

    ready deque ──▶ run each ──▶ interrupts ──▶ due timers ──▶ poll ──▶ switch to fd waiters ─┐
         ▲                                                                                   │
         └───────────────────────────────────────────────────────────────────────────────────┘

Why direct switches: loops.py calls `waiter.switch()` itself. A callback object per event,
or a watcher that is started and stopped per wait, is what the peers pay for in every message.
A thread that parks hands over to the next ready one without passing through the hub (`leave`).
"""

from __future__ import annotations

import sys
from collections import deque
from typing import TYPE_CHECKING, cast

from greenlet import GreenletExit, getcurrent, greenlet

from verdant.core.ctrl_c import take_over_ctrl_c
from verdant.core.current import hubs, slot
from verdant.core.deadlock import find_deadlock
from verdant.core.loops import HubLoops, deliver, keep_chunks
from verdant.core.originals import get_ident, monotonic
from verdant.core.pollbits import IN, OUT
from verdant.core.poller import Poller, make_poller
from verdant.core.timers import Timer, Timers
from verdant.core.wakeup import Wakeup

if TYPE_CHECKING:
    from collections.abc import Callable

    from verdant.core.loops import Runnable
    from verdant.core.parking import Parkable
    from verdant.core.watch import FdWatch

__all__ = ["Hub", "current_hub"]

# How long a hub without timers waits for the kernel before it asks itself whether anything could
# still come: at first, and at the most, since it waits twice as long after each time that it could.
# The first is long enough that no native thread is caught half-way through a wake-up.
IDLE_S_MIN = 0.25
IDLE_S_MAX = 16.0

# The kernel counts the milliseconds of one wait in 31 bits. A timer that is further away than this
# is waited for again.
POLL_S_MAX = 86_400.0


class _Call:
    # Stands among the ready threads, for a function that runs in the hub.

    __slots__ = ("_args", "_fn")

    def __init__(self, fn: Callable[..., object], args: tuple[object, ...]) -> None:
        self._fn = fn
        self._args = args

    def switch(self) -> None:
        self._fn(*self._args)


class Hub(HubLoops):
    """The scheduler of one native thread. Made by `current_hub()`; users rarely see it."""

    __slots__ = (
        "_foreign",
        "_idle_s",
        "alive",
        "clock",
        "ctrl_c",
        "main",
        "overdue",
        "poller",
        "thread_ident",
        "timers",
        "turns",
        "wakeup",
        "watches",
    )

    def __init__(
        self,
        poller: Poller | None = None,
        clock: Callable[[], float] = monotonic,
        main: Parkable | None = None,
    ) -> None:
        self.poller = poller if poller is not None else make_poller()
        self.clock = clock
        self.thread_ident = get_ident()
        self.ready: deque[Runnable] = deque()
        self.batch = 0
        self.timers = Timers()
        self.watches: dict[int, FdWatch] = {}
        # Threads with an interrupt that waits for them to be parked.
        self.overdue: list[Parkable] = []
        # Polls so far. A watch notes the number at its birth, and an event of the same poll is
        # then older than the watch: it belongs to another file that had the same descriptor.
        self.turns = 0
        # Green threads that were made and have not ended.
        self.alive = 0
        # On its way to the main program (ctrl_c.py).
        self.ctrl_c: KeyboardInterrupt | None = None
        self._foreign: deque[Runnable] = deque()
        self._idle_s = IDLE_S_MIN

        keep_chunks()
        root = getcurrent()
        while root.parent is not None:
            root = root.parent
        if main is None:
            # The greenlet that runs the program itself takes part like any green thread; greenlets
            # have a `__dict__`, so it can carry the few attributes that a green thread declares.
            root.__dict__.update(hub=self, name="main", scheduled=False, interrupts=None)
            main = cast("Parkable", root)
        self.main = main
        self.greenlet = greenlet(self._run, root)

        self.wakeup = Wakeup()
        self.poller.attach(self.watches)
        self.poller.register(self.wakeup.read_fd)
        hubs.append(self)

    def run_soon(self, fn: Callable[..., object], *args: object) -> None:
        """Call `fn(*args)` in the hub on its next turn. It must not park. From this thread only."""
        self.ready.append(_Call(fn, args))

    def run_soon_threadsafe(self, fn: Callable[..., object], *args: object) -> None:
        """Call `fn(*args)` in the hub soon; from any native thread. `fn` must not park.

        Does nothing once the hub's native thread has ended.
        """
        self._foreign.append(_Call(fn, args))
        self.wakeup.wake()

    def make_ready(self, thread: Parkable) -> None:
        """Let a parked thread of this hub run soon. From any native thread."""
        if getattr(slot, "hub", None) is self:
            self.ready.append(thread)
        else:
            self._foreign.append(thread)
            self.wakeup.wake()

    def run_later(self, delay_s: float, fn: Callable[..., object], *args: object) -> Timer:
        """Call `fn(*args)` in the hub after `delay_s` seconds. It must not park."""
        return self.timers.add(self.clock() + delay_s, fn, *args)

    def close(self) -> None:
        """Give its descriptors back, for good. Its green threads never run again."""
        if self.wakeup.is_open:
            if self in hubs:
                hubs.remove(self)
            self.wakeup.close()
            self.poller.close()
            self.ready.clear()

    # From here on everything runs in the hub's own greenlet.

    def _run(self) -> None:
        while True:
            try:
                self._loop()
            except GreenletExit:
                # The native thread ends, see _Guard.
                return
            except BaseException as exc:  # noqa: BLE001 - handed on, below
                # Only a signal handler raises here (a second Ctrl-C, or the program's own handler),
                # or a callback that broke its promise. Either is the main program's to hear of. The
                # events in hand are lost with it, so every waiter looks for itself.
                self.interrupt(self.main, exc)
                self._rouse_everyone()

    def _loop(self) -> None:
        # Locals: each of these is read once per turn.
        poll = self.poller.poll
        ready = self.ready
        heap = self.timers.heap
        watches = self.watches
        wake_fd = self.wakeup.read_fd
        turn = self.turns
        while True:
            if ready:
                self.run_ready()
            if self.overdue:
                self._deliver_interrupts()
            if heap:
                self._fire_due()
                timeout = self._poll_timeout()
            else:
                timeout = 0 if ready or self.overdue else self._idle_s
            events = poll(timeout)
            turn += 1
            self.turns = turn
            if not events and timeout and not heap:
                self._examine_idleness()
            if deliver(events, watches, turn, wake_fd):
                self._take_foreign()

    def _poll_timeout(self) -> float:
        if self.ready or self.overdue:
            return 0
        deadline = self.timers.next_deadline()
        if deadline is None:
            return self._idle_s
        left_s = deadline - self.clock()
        return min(left_s, POLL_S_MAX) if left_s > 0 else 0.0

    def _examine_idleness(self) -> None:
        # Nothing is ready or due, and nothing came while we waited.
        error = None if self._foreign else find_deadlock(self)
        if error is None:
            self._idle_s = min(self._idle_s * 2, IDLE_S_MAX)
        else:
            self.interrupt(self.main, error)

    def _fire_due(self) -> None:
        deadline = self.timers.next_deadline()
        if deadline is None or deadline > (now := self.clock()):
            return
        for callback, args in self.timers.due(now):
            callback(*args)
        if self.overdue:
            self._deliver_interrupts()

    def _take_foreign(self) -> None:
        signalled = self.wakeup.drain()
        # Read first, take second: what is appended in between has written its byte again.
        foreign = self._foreign
        while foreign:
            self.ready.append(foreign.popleft())
        if signalled:
            # Behind what the signal's handler has asked for.
            for tell in self.wakeup.listeners:
                self.run_soon(tell)

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
        events = []
        for fd, watch in list(self.watches.items()):
            watch.close_ranks()
            events.append((fd, IN | OUT))
        # As if each had an edge; no watch was born in a poll of this number.
        self.run_soon(deliver, events, self.watches, -1, self.wakeup.read_fd)
        self._take_foreign()


class _Guard:
    # Held by the native thread's own storage alone, which goes when that thread ends.

    __slots__ = ("_hub",)

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    def __del__(self, is_finalizing: Callable[[], bool] = sys.is_finalizing) -> None:
        # A default, since at the process's end the module's names are gone, and the descriptors go
        # by themselves.
        if not is_finalizing():
            self._hub.close()
            # Ends the loop, which would else be a suspended greenlet that can neither run nor go.
            # In a forked child it is another native thread that comes here, and cannot.
            if get_ident() == self._hub.thread_ident:
                self._hub.greenlet.throw(GreenletExit)


def current_hub() -> Hub:
    """The hub of this native thread, made on first use."""
    try:
        return slot.hub
    except AttributeError:
        hub = slot.hub = Hub()
        slot.guard = _Guard(hub)
        take_over_ctrl_c()
        return hub
