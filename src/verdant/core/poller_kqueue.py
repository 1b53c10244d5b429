"""Kqueue poller: the BSDs and macOS.

Place     core, behind poller.py's protocol.
Promise   written after kqueue(2) and its edge mode, EV_CLEAR. It has been run against a stand-in
          for the kernel only (tests/core/fake_kqueue.py), never on a BSD: it is untried there.
Not here  TCP's urgent data: kqueue does not report the mark at which a receive stops short, so a
          program that uses it may have to ask twice.

    EVFILT_READ                IN          EVFILT_WRITE                OUT
    EVFILT_READ  with EV_EOF   IN RDHUP    EVFILT_WRITE with EV_EOF    OUT HUP
    EV_ERROR, or an error beside EV_EOF: ERR too

The two directions are filters of their own, and are registered one by one: the end of a pipe has
one of them only. A hang-up of the writing side is reported as one of both, which costs a reader of
a half-closed socket its short reads and is never wrong.
"""

from __future__ import annotations

import errno
import select
from typing import TYPE_CHECKING, Any, cast

from verdant.core.originals import kqueue
from verdant.core.pollbits import ERR, HUP, IN, OUT, RDHUP, refuse_files

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["KqueuePoller"]

# As for epoll; a descriptor may take two.
EVENTS_MAX = 2048

# The stdlib has these names where the kernel has kqueue; here they may be absent, so they are asked
# for when a poller is made.
_select: Any = select

# What a filter is refused with by a descriptor that goes in the other direction only.
_ONE_WAY = frozenset({errno.EINVAL, errno.EPIPE, errno.ENODEV, errno.EPERM, errno.EOPNOTSUPP})


class KqueuePoller:
    """`kqueue`, edge-triggered."""

    __slots__ = ("_control", "_filters", "_kqueue")

    def __init__(self) -> None:
        self._kqueue = cast("Callable[[], Any]", kqueue)()
        self._control = self._kqueue.control
        self._filters = (_select.KQ_FILTER_READ, _select.KQ_FILTER_WRITE)

    def attach(self, watches: Mapping[int, object], /) -> None:
        """As the protocol says: the kernel remembers, so nothing is looked up."""

    def register(self, fd: int, read_only: bool = False, /) -> None:
        """As the protocol says."""
        refuse_files(fd)
        flags = _select.KQ_EV_ADD | _select.KQ_EV_CLEAR
        refused: list[OSError] = []
        wanted = self._filters[:1] if read_only else self._filters
        for which in wanted:
            try:
                self._control([_select.kevent(fd, which, flags)], 0, 0)
            except OSError as exc:
                if exc.errno not in _ONE_WAY:
                    self.unregister(fd)
                    raise
                refused.append(exc)
        if len(refused) == len(wanted):
            raise refused[0]

    def unregister(self, fd: int, /) -> None:
        """As the protocol says."""
        for which in self._filters:
            try:
                self._control([_select.kevent(fd, which, _select.KQ_EV_DELETE)], 0, 0)
            except (OSError, ValueError):
                # Never registered that way, or closed before us: the kernel has dropped it.
                continue

    def poll(self, timeout_s: float | None, /) -> list[tuple[int, int]]:
        """As the protocol says. The two directions of one descriptor may be two pairs."""
        return [
            (event.ident, self._bits(event)) for event in self._control(None, EVENTS_MAX, timeout_s)
        ]

    def close(self) -> None:
        """As the protocol says."""
        self._kqueue.close()

    def _bits(self, event: Any) -> int:  # noqa: ANN401 - a kevent, which Linux has no type for
        ended = event.flags & _select.KQ_EV_EOF
        if event.filter == self._filters[0]:
            bits = IN | RDHUP if ended else IN
        else:
            bits = OUT | HUP if ended else OUT
        if event.flags & _select.KQ_EV_ERROR or (ended and event.fflags):
            bits |= ERR
        return bits
