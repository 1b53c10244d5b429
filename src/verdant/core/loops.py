"""Loops: what runs once per message or switch, in Python; and the choice of the accelerator.

Place     core; hub.py and watch.py build on its classes, the hub delivers events by it.
Promise   `_speedups.c` does the same with the same outcome; where it was not built, or with
          VERDANT_PURE=1 in the environment, this file does the work and nothing is missing.
Not here  waits that have a line or a bound (watch.py): they are rare, and written once.

The rule of `read`: a receive that gave fewer bytes than asked has drained the descriptor, so the
next one parks at once instead of paying for EAGAIN and its exception. It holds for streams alone,
and no longer once `gone` is set (watch.py says why).

The rule of `leave`: who parks while the hub works off its ready queue switches to the next of the
queue, not to the hub, which would do just the same: one switch of greenlets in place of two. Three
kinds go by way of the hub. A call, since what it raises is the hub's. A thread that has not begun:
it would begin on top of our C stack, and the next one on top of its own, without end. A thread that
does more at a switch than switch (that of an asyncio loop does), coming or going.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, Protocol, cast

from greenlet import getcurrent, greenlet

from verdant.core.originals import read as _read
from verdant.core.originals import write as _write
from verdant.core.poller import GONE, READABLE, WRITABLE

if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Mapping

    from verdant.core.hub import Hub
    from verdant.core.parking import Parkable

__all__ = [
    "ACCELERATED",
    "HubLoops",
    "PureHubLoops",
    "PureWatchLoops",
    "Runnable",
    "WatchLoops",
    "deliver",
    "deliver_pure",
    "keep_chunks",
]

_plain_switch = greenlet.switch


class Runnable(Protocol):
    """What stands in the ready queue: a green thread, or a call in disguise."""

    def switch(self) -> object:
        """Run it until it parks or ends."""


class PureHubLoops:
    """The ready queue of a hub, and who runs next. `Hub` adds timers and polling."""

    __slots__ = ("batch", "greenlet", "ready")

    greenlet: greenlet
    ready: deque[Runnable]
    # How many of the queue are to run in this turn of the hub.
    batch: int

    def run_ready(self) -> None:
        """Run those that are ready now. In the hub.

        No others: one that makes itself ready again must not keep the sockets from being polled.
        """
        ready = self.ready
        self.batch = len(ready)
        while self.batch > 0 and ready:
            self.batch -= 1
            ready.popleft().switch()

    def leave(self) -> None:
        """Stop the running green thread until somebody switches to it. It has seen to that."""
        if self.batch > 0 and self.ready and type(getcurrent()).switch is _plain_switch:
            following = self.ready[0]
            # A greenlet is true while it is begun and not ended.
            if type(following).switch is _plain_switch and cast("greenlet", following):
                self.batch -= 1
                self.ready.popleft()
                following.switch()
                return
        self.greenlet.switch()

    def take_turns(self, me: Parkable, /) -> None:
        """Let everybody else run who is ready, then go on. `me`: the running green thread."""
        if me.interrupts:
            raise me.interrupts.popleft()
        me.scheduled = True
        self.ready.append(me)
        self.leave()
        me.scheduled = False


class PureWatchLoops:
    """A descriptor's waiters, and the loops that read and write it. `FdWatch` adds the waiting."""

    __slots__ = (
        "born",
        "closed",
        "fd",
        "gone",
        "hub",
        "more_readers",
        "more_writers",
        "readable",
        "reader",
        "writer",
    )

    hub: Hub
    fd: int
    born: int
    readable: bool
    gone: bool
    closed: bool
    reader: Parkable | None
    writer: Parkable | None
    more_readers: deque[Parkable] | None
    more_writers: deque[Parkable] | None

    if TYPE_CHECKING:

        def wait_readable(self, timeout_s: float | None = None, again: bool = False) -> None: ...
        def wait_writable(self, timeout_s: float | None = None, again: bool = False) -> None: ...
        def serve_more_readers(self) -> None: ...
        def serve_more_writers(self) -> None: ...

    def read(self, bytes_max: int, /) -> bytes:
        """Read at most `bytes_max` bytes of a stream; b"" at its end (read(2)). Parks.

        Raises OSError, EBADF when the watch is closed meanwhile.
        """
        again = False
        while True:
            if not self.readable:
                self.wait_readable(None, again)
                again = True
            try:
                data = _read(self.fd, bytes_max)
            except BlockingIOError:
                self.readable = False
                continue
            if 0 < len(data) < bytes_max and not self.gone:
                self.readable = False
            return data

    def write_all(self, data: bytes, /) -> None:
        """Write all of `data` (write(2)). Parks while the kernel takes none of it.

        Raises OSError, EBADF when the watch is closed meanwhile.
        """
        rest: bytes | memoryview = data
        again = False
        while True:
            try:
                sent = _write(self.fd, rest)
            except BlockingIOError:
                self.wait_writable(None, again)
                again = True
                continue
            if sent == len(rest):
                return
            rest = memoryview(rest)[sent:]


def deliver_pure(
    events: list[tuple[int, int]], watches: Mapping[int, PureWatchLoops], turn: int, wake_fd: int
) -> bool:
    """Tell each event to its watch, and let the watch's waiters run in their order. In the hub.

    `turn`: the number of the poll that brought the events. Returns True when `wake_fd` was among
    them.
    """
    woken = False
    for fd, event in events:
        watch = watches.get(fd)
        if watch is None:
            woken = woken or fd == wake_fd
            continue
        if watch.born == turn:
            # The event is older than the watch.
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
                    watch.serve_more_readers()
        if event & WRITABLE:
            waiter = watch.writer
            if waiter is not None:
                watch.writer = None
                waiter.switch()
                if watch.more_writers:
                    watch.serve_more_writers()
    return woken


def keep_chunks_pure() -> None:
    """Keep the memory of ended green threads' frames for the next ones. Only C can."""


if TYPE_CHECKING:
    HubLoops = PureHubLoops
    WatchLoops = PureWatchLoops
    deliver = deliver_pure
    keep_chunks = keep_chunks_pure
    ACCELERATED: bool
else:
    HubLoops, WatchLoops = PureHubLoops, PureWatchLoops
    deliver, keep_chunks, ACCELERATED = deliver_pure, keep_chunks_pure, False
    if os.environ.get("VERDANT_PURE", "0") in ("", "0"):
        try:
            _speedups = import_module("verdant.core._speedups")
        except ImportError:
            # No compiler at install time, or another platform: all the same but slower.
            pass
        else:
            HubLoops, WatchLoops = _speedups.HubLoops, _speedups.WatchLoops
            deliver, keep_chunks, ACCELERATED = _speedups.deliver, _speedups.keep_chunks, True
