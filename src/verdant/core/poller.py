"""Poller: what the hub asks of the kernel, and which kernel call answers it.

Place     core; hub.py polls, watch.py reads the event bits.
Promise   every file descriptor is registered once, edge-triggered, for both directions.
Not here  who waits for a descriptor (watch.py).

Linux's epoll is the only one that the hub is built on so far: with edges the short-read rule
(watch.py) saves a system call and an exception per message. A level-triggered `poll` would need a
second hub loop; on a platform without epoll the choice below says so instead of pretending.
"""

from __future__ import annotations

import select
from typing import Protocol

from verdant.errors import VerdantError

__all__ = ["GONE", "READABLE", "WRITABLE", "Poller", "make_poller"]


class Poller(Protocol):
    """Edge-triggered readiness of file descriptors."""

    def register(self, fd: int, /) -> None:
        """Report every later edge of `fd`, and its present state as the first one."""

    def unregister(self, fd: int, /) -> None:
        """Forget `fd`; does nothing when it is not known or already closed."""

    def poll(self, timeout_s: float | None, /) -> list[tuple[int, int]]:
        """Wait at most `timeout_s` seconds (None: for ever) and return (fd, event bits) pairs."""

    def close(self) -> None:
        """Give the kernel object back."""


if hasattr(select, "epoll"):
    # After one of these the descriptor stays readable for good: data and FIN may come in one edge
    # and no second one follows. PRI counts too: a receive stops short at TCP's urgent mark.
    GONE = select.EPOLLHUP | select.EPOLLERR | select.EPOLLRDHUP | select.EPOLLPRI
    READABLE = select.EPOLLIN | GONE
    WRITABLE = select.EPOLLOUT | select.EPOLLHUP | select.EPOLLERR

    _EDGES = select.EPOLLET | select.EPOLLIN | select.EPOLLOUT | select.EPOLLRDHUP | select.EPOLLPRI

    # Events taken per system call: enough that a busy hub rarely needs two, small enough that a
    # list of them stays in the cache.
    EVENTS_MAX = 1024

    class _Epoll:
        __slots__ = ("_epoll", "_poll", "_register")

        def __init__(self) -> None:
            self._epoll = select.epoll()
            self._poll = self._epoll.poll
            self._register = self._epoll.register

        def register(self, fd: int, /) -> None:
            self._register(fd, _EDGES)

        def unregister(self, fd: int, /) -> None:
            try:
                self._epoll.unregister(fd)
            except (OSError, ValueError):
                # Closed before us, by its owner: the kernel has already dropped it.
                return

        def poll(self, timeout_s: float | None, /) -> list[tuple[int, int]]:
            return self._poll(timeout_s, EVENTS_MAX)

        def close(self) -> None:
            self._epoll.close()
else:  # pragma: no cover - a platform the tests do not run on
    GONE = READABLE = WRITABLE = 0


def make_poller() -> Poller:
    """A poller for this platform. Raises `VerdantError` where there is none yet."""
    if hasattr(select, "epoll"):
        return _Epoll()
    raise VerdantError("verdant needs epoll: run it on Linux")
