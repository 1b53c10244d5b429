"""Poll poller: every POSIX system, by poll(2).

Place     core, behind poller.py's protocol.
Promise   the contract of edges, kept by a call that knows levels only: no news is lost, and what
          somebody has been told of and not yet used is not told again.
Not here  speed: each poll looks at every descriptor, as does the kernel's side of it.

poll(2) reports a state for as long as it lasts, so a descriptor is asked about only while its next
edge could matter to somebody:

    for reading    while its watch is not known to be readable, or somebody waits
    for writing    while somebody waits

That is an edge in effect: once told, `watch.readable` is true and the descriptor is left alone
until a reader finds it drained and lowers the flag. Whoever waits although the flag is up (ZeroMQ's
descriptor, `select` for urgent data alone) is told at once, again and again if need be: then the
waiter pays for looking, and nothing is missed.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Protocol, cast

from verdant.core.originals import poll
from verdant.core.pollbits import ERR, HUP, IN, OUT, PRI, RDHUP, refuse_files

if TYPE_CHECKING:
    import select
    from collections.abc import Callable, Mapping, Sized

__all__ = ["Interest", "PollPoller"]

# poll.h: POLLNVAL, no such descriptor.
_INVALID = 0x20


class Interest(Protocol):
    """What a watch says of who waits, and of what is known."""

    @property
    def readable(self) -> bool:
        """True when a reader has news that it has not used up."""

    @property
    def reader(self) -> object | None:
        """Who waits to read."""

    @property
    def writer(self) -> object | None:
        """Who waits to write."""

    @property
    def more_readers(self) -> Sized | None:
        """Who else does."""

    @property
    def more_writers(self) -> Sized | None:
        """Who else does."""


class PollPoller:
    """`poll`, asked about what could matter."""

    __slots__ = ("_asked", "_poll", "_watches")

    def __init__(self) -> None:
        self._poll: select.poll = cast("Callable[[], select.poll]", poll)()
        # By descriptor, what the kernel is asked about it; 0 for nothing, not even hang-ups.
        self._asked: dict[int, int] = {}
        self._watches: Mapping[int, Interest] = {}

    def attach(self, watches: Mapping[int, Interest], /) -> None:
        """As the protocol says."""
        self._watches = watches

    def register(self, fd: int, read_only: bool = False, /) -> None:
        """As the protocol says. Who waits for what is looked up anyway."""
        refuse_files(fd)
        self._ask(fd, 0)

    def unregister(self, fd: int, /) -> None:
        """As the protocol says."""
        if self._asked.pop(fd, 0):
            self._poll.unregister(fd)

    def poll(self, timeout_s: float | None, /) -> list[tuple[int, int]]:
        """As the protocol says."""
        # A copy: a signal's handler may register something in between.
        for fd, asked in list(self._asked.items()):
            watch = self._watches.get(fd)
            wanted = IN if watch is None else _wanted(watch)
            if wanted != asked:
                self._ask(fd, wanted)
        # Rounded up: a timer that is nearly due must not make the hub ask in circles.
        timeout_ms = None if timeout_s is None else math.ceil(timeout_s * 1000)
        found = self._poll.poll(timeout_ms)
        if any(events & _INVALID for _, events in found):
            return [self._report(fd, events) for fd, events in found]
        return found

    def close(self) -> None:
        """As the protocol says."""
        self._asked.clear()

    def _ask(self, fd: int, wanted: int) -> None:
        if wanted:
            # Replaces what was asked before.
            self._poll.register(fd, wanted)
        elif self._asked.get(fd):
            self._poll.unregister(fd)
        self._asked[fd] = wanted

    def _report(self, fd: int, events: int) -> tuple[int, int]:
        if not events & _INVALID:
            return fd, events
        # Closed behind our back. Whoever waits hears of it from the kernel when it looks; and the
        # number is forgotten, or else it would be reported for ever.
        self.unregister(fd)
        return fd, IN | OUT | HUP | ERR


def _wanted(watch: Interest) -> int:
    wanted = 0
    if not watch.readable or watch.reader is not None or watch.more_readers:
        wanted = IN | PRI | RDHUP
    if watch.writer is not None or watch.more_writers:
        wanted |= OUT
    return wanted
