"""Select: the stdlib's `select`, `poll` and `epoll`, whose waits park the green thread.

Place     green; selectors.py, os.py and subprocess.py wait through `wait_for_events`.
Promise   the stdlib's answers, since it is the kernel that is asked; a descriptor that a green
          socket waits for may be in the set too, and neither takes the other's events.
Not here  sockets' own waits (socket.py), which need no question to the kernel beforehand.

    ask, without waiting ──▶ nothing ──▶ an alarm on each descriptor's watch ──▶ park ──▶ ask again

The hub registers a descriptor once and edge-triggered, so an edge is only a reason to look again.
Asking first with a native `poll(0)` makes the order safe: what was not ready then must make an edge
to become so, and the hub cannot take one before we park. It also tells the kernel that a writer
waits (TCP reports room to write only to those who asked in vain).
"""

from __future__ import annotations

import errno
import math
import os
import select as _stdlib
from collections import deque
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast

from verdant.core import (
    FdWatch,
    Hub,
    Parkable,
    TimedOut,
    current_hub,
    current_thread,
    monotonic,
    park,
    sleep,
    unpark,
    watch_fd,
)
from verdant.green.waiting import may_park

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from types import TracebackType
    from typing import Self

__all__ = ["epoll", "native_epoll", "poll", "select", "wait_for_events"]

T = TypeVar("T")

FileLike = Any  # the stdlib's own: a descriptor, or what has a `fileno()`

_select = _stdlib.select
_poll = _stdlib.poll
_epoll = _stdlib.epoll
# For aio, whose selectors wait in another way.
native_epoll = _epoll

_READ = _stdlib.POLLIN | _stdlib.POLLPRI | _stdlib.POLLRDHUP
_WRITE = _stdlib.POLLOUT
# What the kernel's select() counts as readable and writable (POLLIN_SET, POLLOUT_SET).
_SELECT_READ = _stdlib.POLLIN | _stdlib.POLLHUP | _stdlib.POLLERR
_SELECT_WRITE = _stdlib.POLLOUT | _stdlib.POLLERR


# The most that the kernel's poll() takes, which is a C int.
MILLISECONDS_MAX = 2**31 - 1


class _HasFileno(Protocol):
    def fileno(self) -> int: ...


class _Alarm:
    """Stands in a watch's line for a green thread that waits for several descriptors.

    The hub "switches" to it as to any waiter; it makes its thread ready, once.
    """

    __slots__ = ("_thread", "_watches", "hub", "interrupts", "scheduled")

    name = "select"
    dead = False

    def __init__(self, hub: Hub, thread: Parkable) -> None:
        self.hub = hub
        self.scheduled = False
        self.interrupts: deque[BaseException] | None = None
        self._thread: Parkable | None = thread
        self._watches: list[FdWatch] = []

    def switch(self) -> None:
        """Make the thread ready. In the hub, which runs it on this turn or the next."""
        thread, self._thread = self._thread, None
        if thread is not None:
            unpark(thread)

    def throw(self, exc: BaseException, /) -> None:
        """Never called: interrupts go to the thread, which the hub knows."""
        raise exc

    def attach(self, watch: FdWatch, mask: int) -> None:
        """Stand in line for the events of `mask`; hang-ups and errors come with either kind."""
        self._watches.append(watch)
        if mask & _READ or not mask & _WRITE:
            if watch.reader is None:
                watch.reader = self
            else:
                if watch.more_readers is None:
                    watch.more_readers = deque()
                watch.more_readers.append(self)
        if mask & _WRITE:
            if watch.writer is None:
                watch.writer = self
            else:
                if watch.more_writers is None:
                    watch.more_writers = deque()
                watch.more_writers.append(self)

    def detach(self) -> None:
        """Leave every line. A wake-up that is under way finds nobody to wake."""
        self._thread = None
        for watch in self._watches:
            if watch.reader is self:
                # The first in line is the one whom the hub wakes, and it wakes the others.
                watch.reader = watch.more_readers.popleft() if watch.more_readers else None
            elif watch.more_readers and self in watch.more_readers:
                watch.more_readers.remove(self)
            if watch.writer is self:
                watch.writer = watch.more_writers.popleft() if watch.more_writers else None
            elif watch.more_writers and self in watch.more_writers:
                watch.more_writers.remove(self)


def _wait_for_edge(masks: Mapping[int, int], timeout_s: float | None) -> bool:
    """Park until a watch of one of the descriptors has news. False when the time is up."""
    alarm = _Alarm(current_hub(), current_thread())
    made: list[FdWatch] = []
    try:
        for fd, mask in masks.items():
            watch = alarm.hub.watches.get(fd)
            if watch is None:
                try:
                    watch = watch_fd(fd)
                except OSError as exc:
                    # EPERM: a regular file, whose state never changes. EBADF: the kernel says so
                    # itself when it is asked.
                    if exc.errno in (errno.EPERM, errno.EBADF):
                        continue
                    raise
                made.append(watch)
            alarm.attach(watch, mask)
        # Woken by the alarm: from the hub's event loop, or because a watch was closed.
        park(timeout_s)
    except TimedOut as exc:
        # A Timeout scope around us is somebody else's bound.
        if timeout_s is None or type(exc) is not TimedOut:
            raise
        return False
    finally:
        alarm.detach()
        for watch in made:
            # Others may have found it meanwhile; closing wakes them, and they look again.
            watch.close()
    return True


def _until(
    ask: Callable[[], list[T]], masks: Mapping[int, int], timeout_s: float | None
) -> list[T]:
    """Ask until there is an answer, parked in between. An empty one means that time is up."""
    # A loop that only ever asks, or that finds a descriptor ready each time, would keep every other
    # green thread from running: among them the one that it wants an answer from.
    sleep(0)
    found = ask()
    if found or (timeout_s is not None and timeout_s <= 0):
        return found
    deadline = None if timeout_s is None else monotonic() + timeout_s
    while True:
        left_s = None if deadline is None else deadline - monotonic()
        in_time = _wait_for_edge(masks, left_s)
        found = ask()
        if found or not in_time:
            return found


def wait_for_events(fd: int, mask: int, timeout_s: float | None = None) -> bool:
    """Wait until `fd` has one of the poll events in `mask`, hung up, or is no descriptor at all.

    Parks; only where `may_park()`. Returns False when `timeout_s` seconds were not enough.
    """
    asked = _poll()
    asked.register(fd, mask)
    return bool(_until(lambda: asked.poll(0), {fd: mask}, timeout_s))


def _fileno(file: FileLike) -> int:
    if isinstance(file, int):
        fd = file
    else:
        fd = cast("_HasFileno", file).fileno()
        if not isinstance(fd, int):
            raise TypeError("fileno() returned a non-integer")
    if fd < 0:
        raise ValueError(f"file descriptor cannot be a negative integer ({fd})")
    return fd


def select(
    rlist: Iterable[FileLike],
    wlist: Iterable[FileLike],
    xlist: Iterable[FileLike],
    timeout: float | None = None,
    /,
) -> tuple[list[Any], list[Any], list[Any]]:
    """As `select.select`, without its bound of 1024 on descriptors. Parks."""
    if not may_park():
        return _select(rlist, wlist, xlist, timeout)
    if timeout is not None and timeout < 0:
        raise ValueError("timeout must be non-negative")
    readers = [(_fileno(file), file) for file in rlist]
    writers = [(_fileno(file), file) for file in wlist]
    excepts = [(_fileno(file), file) for file in xlist]
    masks: dict[int, int] = {}
    for files, mask in (
        (readers, _stdlib.POLLIN),
        (writers, _stdlib.POLLOUT),
        (excepts, _stdlib.POLLPRI),
    ):
        for fd, _ in files:
            masks[fd] = masks.get(fd, 0) | mask
    asked = _poll()
    for fd, mask in masks.items():
        asked.register(fd, mask)
    found: dict[int, int] = {}

    def ask() -> list[tuple[list[Any], list[Any], list[Any]]]:
        found.clear()
        found.update(asked.poll(0))
        if any(events & _stdlib.POLLNVAL for events in found.values()):
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        answer = (
            [file for fd, file in readers if found.get(fd, 0) & _SELECT_READ],
            [file for fd, file in writers if found.get(fd, 0) & _SELECT_WRITE],
            [file for fd, file in excepts if found.get(fd, 0) & _stdlib.POLLPRI],
        )
        # A hang-up alone may be an event to poll() and none to select().
        return [answer] if any(answer) else []

    answers = _until(ask, masks, timeout)
    return answers[0] if answers else ([], [], [])


class poll:
    """As the object that `select.poll()` returns; `poll()` parks."""

    __slots__ = ("_asked", "_masks", "_polling")

    def __init__(self) -> None:
        self._asked = _poll()
        self._polling = False
        self._masks: dict[int, int] = {}

    def register(
        self,
        fd: FileLike,
        eventmask: int = _stdlib.POLLIN | _stdlib.POLLPRI | _stdlib.POLLOUT,
        /,
    ) -> None:
        """As in the stdlib. Does not park."""
        self._asked.register(fd, eventmask)
        self._masks[_fileno(fd)] = eventmask

    def modify(self, fd: FileLike, eventmask: int, /) -> None:
        """As in the stdlib. Does not park."""
        self._asked.modify(fd, eventmask)
        self._masks[_fileno(fd)] = eventmask

    def unregister(self, fd: FileLike, /) -> None:
        """As in the stdlib. Does not park."""
        self._asked.unregister(fd)
        del self._masks[_fileno(fd)]

    def poll(self, timeout: float | None = None, /) -> list[tuple[int, int]]:
        """As in the stdlib: `timeout` in milliseconds, None or negative for ever. Parks."""
        if not may_park():
            return self._asked.poll(timeout)
        if self._polling:
            raise RuntimeError("concurrent poll() invocation")
        timeout_s = None
        if timeout is not None and timeout >= 0:
            milliseconds = math.ceil(timeout)
            if milliseconds > MILLISECONDS_MAX:
                raise OverflowError("timeout is too large")
            timeout_s = milliseconds / 1000
        self._polling = True
        try:
            return _until(lambda: self._asked.poll(0), dict(self._masks), timeout_s)
        finally:
            self._polling = False


class epoll:
    """As `select.epoll`; `poll()` parks.

    The kernel's own object does the work. Being a descriptor that becomes readable when it has
    events, it is waited for like any other.
    """

    __slots__ = ("_native",)

    def __init__(self, sizehint: int = -1, flags: int = 0) -> None:
        self._native = _epoll(sizehint, flags)

    @classmethod
    def fromfd(cls, fd: int, /) -> Self:
        """As in the stdlib. Does not park."""
        self = cls.__new__(cls)
        self._native = _epoll.fromfd(fd)
        return self

    @property
    def closed(self) -> bool:
        """As in the stdlib."""
        return self._native.closed

    def fileno(self) -> int:
        """As in the stdlib."""
        return self._native.fileno()

    def close(self) -> None:
        """As in the stdlib. Does not park."""
        self._native.close()

    def register(
        self,
        fd: FileLike,
        eventmask: int = _stdlib.EPOLLIN | _stdlib.EPOLLPRI | _stdlib.EPOLLOUT,
    ) -> None:
        """As in the stdlib. Does not park."""
        self._native.register(fd, eventmask)

    def modify(self, fd: FileLike, eventmask: int) -> None:
        """As in the stdlib. Does not park."""
        self._native.modify(fd, eventmask)

    def unregister(self, fd: FileLike) -> None:
        """As in the stdlib. Does not park."""
        self._native.unregister(fd)

    def poll(self, timeout: float | None = None, maxevents: int = -1) -> list[tuple[int, int]]:
        """As in the stdlib: `timeout` in seconds, None or negative for ever. Parks."""
        if not may_park():
            return self._native.poll(timeout, maxevents)
        timeout_s = None if timeout is None or timeout < 0 else timeout
        masks = {self._native.fileno(): _stdlib.POLLIN}
        return _until(lambda: self._native.poll(0, maxevents), masks, timeout_s)

    def __enter__(self) -> Self:
        self._native.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None = None,
        exc: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        self._native.close()
