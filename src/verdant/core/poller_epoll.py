"""Epoll poller: Linux.

Place     core, behind poller.py's protocol, which it fulfils by one kernel call per method.
Promise   a poll costs what there is news of, not what is watched.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from verdant.core.originals import epoll
from verdant.core.pollbits import IN, OUT, PRI, RDHUP

if TYPE_CHECKING:
    import select
    from collections.abc import Callable, Mapping

__all__ = ["EpollPoller"]

# epoll.h: EPOLLET. Not among the stdlib's constants where there is no epoll.
_EDGE_TRIGGERED = 1 << 31

_READ_EDGES = _EDGE_TRIGGERED | IN | RDHUP | PRI
_EDGES = _READ_EDGES | OUT

# Events taken per system call: enough that a busy hub rarely needs two, small enough that a list of
# them stays in the cache.
EVENTS_MAX = 1024


class EpollPoller:
    """`epoll`, edge-triggered."""

    __slots__ = ("_epoll", "_poll", "_register")

    def __init__(self) -> None:
        self._epoll: select.epoll = cast("Callable[[], select.epoll]", epoll)()
        self._poll = self._epoll.poll
        self._register = self._epoll.register

    def attach(self, watches: Mapping[int, object], /) -> None:
        """As the protocol says: the kernel remembers, so nothing is looked up."""

    def register(self, fd: int, read_only: bool = False, /) -> None:
        """As the protocol says."""
        self._register(fd, _READ_EDGES if read_only else _EDGES)

    def unregister(self, fd: int, /) -> None:
        """As the protocol says."""
        try:
            self._epoll.unregister(fd)
        except (OSError, ValueError):
            # Closed before us, by its owner: the kernel has already dropped it.
            return

    def poll(self, timeout_s: float | None, /) -> list[tuple[int, int]]:
        """As the protocol says."""
        return self._poll(timeout_s, EVENTS_MAX)

    def close(self) -> None:
        """As the protocol says."""
        self._epoll.close()
