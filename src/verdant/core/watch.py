"""Watch: one file descriptor, registered once, and who waits for it.

Place     core; hub.py reports edges to it, green/ waits on it. Knows descriptors, not sockets.
Promise   an edge is never lost: it sets `readable` whether or not somebody waits. First come, first
          served: it wakes the first waiter of its direction, and the next one if that has left
          something over. Closing wakes every waiter with EBADF. A watch never hears of a file that
          had its descriptor's number before.
Not here  the loops that read and write (loops.py), which go by the rule below.

`readable` is a hint that may be true for nothing (then EAGAIN corrects it) and must never be false
while data waits without an edge to come. `gone` is set by HUP, ERR, RDHUP or urgent data: data and
FIN may arrive in *one* edge with no second one to follow, so a short read proves nothing any more.

    edge ──▶ first waiter runs ──▶ something left? ──▶ next waiter runs ──▶ …  each once per edge
                                        └─ no: the others keep their places, and so does one that
                                           was woken in vain (it waits `again`)

Waking all of them at an edge would be simpler, and unfair: those who find nothing would stand in
line anew, behind whoever has come meanwhile. A call that finds something at once does not wait, so
it does not stand in line either.
"""

from __future__ import annotations

import errno
import os
from collections import deque
from typing import TYPE_CHECKING

from verdant.core.hub import Hub, current_hub
from verdant.core.loops import WatchLoops
from verdant.core.parking import Parkable, park, running, unpark, withdraw
from verdant.errors import TimedOut

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["FdWatch", "watch_fd"]


class FdWatch(WatchLoops):
    """Readiness of one descriptor in one hub. Made by `watch_fd`, closed before the descriptor is.

    Its attributes are public for the hub and for those who receive by other calls than `read`:
    after EAGAIN they set `readable` to False and wait.
    """

    __slots__ = ("read_only",)

    def __init__(self, hub: Hub, fd: int, read_only: bool = False) -> None:
        self.hub = hub
        self.read_only = read_only
        self.fd = fd
        # Its generation: the hub's poll after which it was made.
        self.born = hub.turns
        self.readable = False
        self.gone = False
        self.closed = False
        # One waiter per direction is the rule; the deques appear when there is a second.
        self.reader = None
        self.writer = None
        self.more_readers = None
        self.more_writers = None

    def wait_readable(self, timeout_s: float | None = None, again: bool = False) -> None:
        """Park until an edge says that the descriptor may be readable.

        `again`: for who was woken in the same call and told EAGAIN: it keeps its place, which was
        the first. Raises `TimedOut` after `timeout_s` seconds, OSError (EBADF) when the watch is
        closed.
        """
        if self.closed:
            raise self._bad_fd()
        if timeout_s is not None:
            self._wait_timed(self.wait_readable, timeout_s, again)
            return
        me = running()
        if self.reader is not None or (self.more_readers and not again):
            self._queue_reader(me, again)
            return
        self.reader = me
        try:
            # Woken by the hub's event loop, or by rouse_readers().
            self.hub.leave()
        except BaseException:
            self._leave_readers(me)
            raise
        me.scheduled = False
        if self.closed:
            raise self._bad_fd()

    def wait_writable(self, timeout_s: float | None = None, again: bool = False) -> None:
        """Park until an edge says that the descriptor may be writable.

        `again`: for who was woken in the same call and told EAGAIN: it keeps its place, which was
        the first. Raises `TimedOut` after `timeout_s` seconds, OSError (EBADF) when the watch is
        closed.
        """
        if self.closed:
            raise self._bad_fd()
        if timeout_s is not None:
            self._wait_timed(self.wait_writable, timeout_s, again)
            return
        me = running()
        if self.writer is not None or (self.more_writers and not again):
            self._queue_writer(me, again)
            return
        self.writer = me
        try:
            # Woken by the hub's event loop, or by rouse_writers().
            self.hub.leave()
        except BaseException:
            self._leave_writers(me)
            raise
        me.scheduled = False
        if self.closed:
            raise self._bad_fd()

    def serve_more_readers(self) -> None:
        """After the first reader ran: let the others run while there is something left. In the hub.

        Each once at the most: not everybody who waits also reads (`select`), or lowers `readable`.
        """
        try:
            for _ in range(len(self.more_readers or ())):
                if not self.readable or not self.more_readers:
                    return
                self.more_readers.popleft().switch()
        finally:
            self.close_ranks()

    def serve_more_writers(self) -> None:
        """After the first writer ran: let the others run while there is room left. In the hub.

        There is none when one has come back to the head of the line, being told EAGAIN.
        """
        try:
            for _ in range(len(self.more_writers or ())):
                if self.writer is not None or not self.more_writers:
                    return
                self.more_writers.popleft().switch()
        finally:
            self.close_ranks()

    def close_ranks(self) -> None:
        """See to it that each line has a first, which is the one whom the hub wakes."""
        if self.reader is None and self.more_readers:
            self.reader = self.more_readers.popleft()
        if self.writer is None and self.more_writers:
            self.writer = self.more_writers.popleft()

    def rouse_readers(self) -> None:
        """Make every reader ready to look for itself. Does not park."""
        waiter, self.reader = self.reader, None
        if waiter is not None:
            unpark(waiter)
        while self.more_readers:
            unpark(self.more_readers.popleft())

    def rouse_writers(self) -> None:
        """Make every writer ready to look for itself. Does not park."""
        waiter, self.writer = self.writer, None
        if waiter is not None:
            unpark(waiter)
        while self.more_writers:
            unpark(self.more_writers.popleft())

    def close(self) -> None:
        """Forget the descriptor (without closing it) and wake every waiter with EBADF."""
        if self.closed:
            return
        self.closed = True
        self.hub.poller.unregister(self.fd)
        if self.hub.watches.get(self.fd) is self:
            del self.hub.watches[self.fd]
        # Its number may come round again at once.
        self.fd = -1
        self.readable = False
        self.rouse_readers()
        self.rouse_writers()

    # A second waiter and further ones stand in line behind the first. It is the first that the hub
    # wakes, so whoever leaves the head of the line early makes the next one first.

    def _queue_reader(self, me: Parkable, again: bool) -> None:
        if self.more_readers is None:
            self.more_readers = deque()
        if again:
            self.more_readers.appendleft(me)
        else:
            self.more_readers.append(me)
        try:
            # Woken by the hub or by rouse_readers(): either takes us off.
            park()
        except BaseException:
            self._leave_readers(me)
            raise
        if self.closed:
            raise self._bad_fd()

    def _queue_writer(self, me: Parkable, again: bool) -> None:
        if self.more_writers is None:
            self.more_writers = deque()
        if again:
            self.more_writers.appendleft(me)
        else:
            self.more_writers.append(me)
        try:
            # Woken by the hub or by rouse_writers(): either takes us off.
            park()
        except BaseException:
            self._leave_writers(me)
            raise
        if self.closed:
            raise self._bad_fd()

    def _leave_readers(self, me: Parkable) -> None:
        if self.reader is me:
            self.reader = self.more_readers.popleft() if self.more_readers else None
        elif self.more_readers and me in self.more_readers:
            self.more_readers.remove(me)

    def _leave_writers(self, me: Parkable) -> None:
        if self.writer is me:
            self.writer = self.more_writers.popleft() if self.more_writers else None
        elif self.more_writers and me in self.more_writers:
            self.more_writers.remove(me)

    def _wait_timed(
        self, wait: Callable[[float | None, bool], None], timeout_s: float, again: bool
    ) -> None:
        me = running()
        expired = TimedOut(f"descriptor {self.fd} was not ready within {timeout_s:g} s")
        timer = self.hub.run_later(max(0.0, timeout_s), self.hub.interrupt, me, expired)
        try:
            wait(None, again)
        finally:
            timer.cancel()
            withdraw(me, expired)

    @staticmethod
    def _bad_fd() -> OSError:
        return OSError(errno.EBADF, os.strerror(errno.EBADF))


def watch_fd(fd: int, *, read_only: bool = False) -> FdWatch:
    """Register `fd` with this thread's hub, once and for both directions.

    `fd` must be non-blocking and stay open until `close()` of the watch. `read_only`: nobody will
    wait to write. An eventfd needs it: each read makes it writable anew, which is an event more.
    Raises OSError as epoll does (EPERM for regular files: those never block, read them in a
    worker). Does not park.
    """
    hub = current_hub()
    stale = hub.watches.get(fd)
    if stale is not None:
        # Its descriptor was closed behind our back and the number came round again.
        stale.close()
    watch = FdWatch(hub, fd, read_only)
    hub.watches[fd] = watch
    try:
        hub.poller.register(fd, read_only)
    except BaseException:
        del hub.watches[fd]
        raise
    return watch
