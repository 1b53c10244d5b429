"""A stand-in for kqueue on Linux, made of epoll: enough of kqueue(2) to drive KqueuePoller.

Loaded as a pytest plugin (`-p core.fake_kqueue`), it makes pytest's own process a system that has
kqueue and no epoll; processes that tests start are not touched. What it cannot show is how a BSD's
kernel differs from this reading of its manual.
"""

from __future__ import annotations

import errno
import fcntl
import os
import select
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["install", "kevent", "kqueue"]

KQ_FILTER_READ = -1
KQ_FILTER_WRITE = -2
KQ_EV_ADD = 0x1
KQ_EV_DELETE = 0x2
KQ_EV_CLEAR = 0x20
KQ_EV_ERROR = 0x4000
KQ_EV_EOF = 0x8000

_ACCESS = {KQ_FILTER_READ: os.O_RDONLY, KQ_FILTER_WRITE: os.O_WRONLY}
_ENDED = select.EPOLLHUP | select.EPOLLERR


@dataclass
class kevent:
    """As `select.kevent`."""

    ident: int
    filter: int = KQ_FILTER_READ
    flags: int = KQ_EV_ADD
    fflags: int = 0


class kqueue:
    """As `select.kqueue`, for descriptors, edge-triggered only."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._filters: dict[int, set[int]] = {}

    def control(
        self, changes: Iterable[kevent] | None, max_events: int, timeout: float | None = None, /
    ) -> list[kevent]:
        """As in the stdlib. What a change is refused with is raised, as there."""
        for change in changes or ():
            self._change(change)
        if not max_events:
            return []
        found: list[kevent] = []
        for fd, bits in self._epoll.poll(timeout, max_events // 2):
            for which in sorted(self._filters.get(fd, ()), reverse=True):
                found.extend(self._events(fd, which, bits))
        return found

    def close(self) -> None:
        """As in the stdlib."""
        self._epoll.close()

    def _change(self, change: kevent) -> None:
        known = self._filters.get(change.ident, set())
        if change.flags & KQ_EV_DELETE:
            if change.filter not in known:
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
            known.discard(change.filter)
            if known:
                self._epoll.modify(change.ident, self._mask(known))
            else:
                del self._filters[change.ident]
                self._epoll.unregister(change.ident)
            return
        assert change.flags == KQ_EV_ADD | KQ_EV_CLEAR
        _check_direction(change.ident, change.filter)
        both = known | {change.filter}
        if known:
            try:
                self._epoll.modify(change.ident, self._mask(both))
            except FileNotFoundError:
                # Closed and opened again: a kqueue has forgotten the old one by itself.
                both = {change.filter}
                self._epoll.register(change.ident, self._mask(both))
        else:
            self._epoll.register(change.ident, self._mask(both))
        self._filters[change.ident] = both

    @staticmethod
    def _mask(filters: set[int]) -> int:
        mask: int = select.EPOLLET
        if KQ_FILTER_READ in filters:
            mask |= select.EPOLLIN | select.EPOLLRDHUP
        if KQ_FILTER_WRITE in filters:
            mask |= select.EPOLLOUT
        return mask

    @staticmethod
    def _events(fd: int, which: int, bits: int) -> list[kevent]:
        if which == KQ_FILTER_READ:
            concerns, ended = (
                select.EPOLLIN | select.EPOLLRDHUP | _ENDED,
                select.EPOLLRDHUP | _ENDED,
            )
        else:
            concerns, ended = select.EPOLLOUT | _ENDED, _ENDED
        if not bits & concerns:
            return []
        flags = KQ_EV_CLEAR | (KQ_EV_EOF if bits & ended else 0)
        return [kevent(fd, which, flags, errno.EIO if bits & select.EPOLLERR else 0)]


def _check_direction(fd: int, which: int) -> None:
    mode = os.fstat(fd).st_mode
    access = fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_ACCMODE
    if stat.S_ISFIFO(mode) and access not in (os.O_RDWR, _ACCESS[which]):
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))


def install() -> None:
    """Take kqueue's place in `select`."""
    for name in ("kevent", "kqueue", *(name for name in globals() if name.startswith("KQ_"))):
        setattr(select, name, globals()[name])


def pytest_configure() -> None:
    """Become the only good poller there is, before the first hub is made."""
    install()
    from verdant.core import poller, poller_kqueue

    vars(poller_kqueue)["kqueue"] = vars(poller)["kqueue"] = kqueue
    vars(poller)["epoll"] = None


def pytest_sessionfinish() -> None:
    """See to it that the tests ran on what they were meant to."""
    from verdant.core import current_hub
    from verdant.core.poller_kqueue import KqueuePoller

    assert isinstance(current_hub().poller, KqueuePoller)
