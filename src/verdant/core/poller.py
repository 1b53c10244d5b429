"""Poller: what the hub asks of the kernel, and which kernel call answers it.

Place     core; hub.py polls. One file per kernel call: poller_epoll.py, poller_kqueue.py,
          poller_poll.py.
Promise   every file descriptor is registered once, edge-triggered, for both directions; whichever
          poller answers, the hub and everything above it behave alike.
Not here  the event bits (pollbits.py); who waits for a descriptor (watch.py).

epoll is what Verdant is made for and what is measured. poll works on every POSIX system, at a cost
per poll that grows with the number of descriptors; the environment variable VERDANT_POLLER, or the
argument, asks for it by name.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Protocol

from verdant.core.originals import epoll, kqueue, poll
from verdant.core.pollbits import GONE, READABLE, WRITABLE
from verdant.core.poller_epoll import EpollPoller
from verdant.core.poller_kqueue import KqueuePoller
from verdant.core.poller_poll import PollPoller
from verdant.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from verdant.core.poller_poll import Interest

__all__ = ["GONE", "READABLE", "WRITABLE", "Poller", "make_poller", "pollers"]


class Poller(Protocol):
    """Edge-triggered readiness of file descriptors."""

    def attach(self, watches: Mapping[int, Interest], /) -> None:
        """Learn, once, where the hub keeps its watches. Only a level-triggered poller looks."""

    def register(self, fd: int, read_only: bool = False, /) -> None:
        """Report every later edge of `fd`, and its present state as the first one.

        `read_only`: nobody will ever wait to write, and such edges may be left out.

        Raises OSError: EPERM for a regular file, which never blocks; EBADF.
        """

    def unregister(self, fd: int, /) -> None:
        """Forget `fd`; does nothing when it is not known or already closed."""

    def poll(self, timeout_s: float | None, /) -> list[tuple[int, int]]:
        """Wait at most `timeout_s` seconds (None: for ever) and return (fd, event bits) pairs."""

    def close(self) -> None:
        """Give the kernel object back."""


def pollers() -> dict[str, Callable[[], Poller]]:
    """The pollers of this platform by name, the best first. Does not park."""
    found: dict[str, Callable[[], Poller]] = {}
    if epoll is not None:
        found["epoll"] = EpollPoller
    if kqueue is not None:
        found["kqueue"] = KqueuePoller
    if poll is not None:
        found["poll"] = PollPoller
    return found


def make_poller(name: str | None = None) -> Poller:
    """The poller called `name`; by default VERDANT_POLLER's, or this platform's best.

    Raises `ConfigurationError` when this platform has none of that name, or none at all.
    """
    known = pollers()
    name = name or os.environ.get("VERDANT_POLLER") or next(iter(known), "any")
    if name not in known:
        raise ConfigurationError(
            f"this platform has no poller {name!r}: set VERDANT_POLLER to one of"
            f" {', '.join(known) or 'nothing; verdant needs a POSIX system'}"
        )
    return known[name]()
