"""Poller: wait for several sockets and descriptors at once.

Place     zmq, on readiness and the hub.
Promise   what `poll` returns is what is ready now; nothing that became ready while it looked is
          missed, because it watches before it looks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import zmq

from verdant.core import current_hub, spawn, watch_fd
from verdant.sync import Event
from verdant.zmq.socket import Socket

if TYPE_CHECKING:
    from verdant.core import GreenThread

__all__ = ["Poller"]


class Poller(zmq.Poller):
    """pyzmq's poller for green sockets and plain descriptors."""

    def poll(self, timeout: float | None = None) -> list[tuple[Any, int]]:
        """As pyzmq's: (socket or descriptor, events) of those ready. Parks.

        `timeout`: milliseconds; None or negative waits for ever.
        """
        ready = self._ready_now()
        if ready or timeout == 0:
            return ready
        woken = Event()
        limit_s = None if timeout is None or timeout < 0 else timeout / 1000

        def notice(_: int) -> None:
            woken.set()

        observed = [item for item, _ in self.sockets if isinstance(item, Socket)]
        watchers = [
            spawn(_watch_fd, _fd_of(item), flags, woken, name="zmq poller")
            for item, flags in self.sockets
            if not isinstance(item, Socket)
        ]
        for item in observed:
            item._ready().observers[notice] = None  # noqa: SLF001 - two halves of one room
        try:
            while not (ready := self._ready_now()):
                woken.clear()
                if not woken.wait(limit_s):
                    return self._ready_now()
            return ready
        finally:
            for item in observed:
                if item._readiness is not None:  # noqa: SLF001
                    item._readiness.observers.pop(notice, None)  # noqa: SLF001
            _cancel(watchers)

    def _ready_now(self) -> list[tuple[Any, int]]:
        found: list[tuple[Any, int]] = []
        plain = zmq.Poller()
        for item, flags in self.sockets:
            if isinstance(item, Socket):
                events = item._ready().look() & flags  # noqa: SLF001
                if events:
                    found.append((item, events))
            else:
                plain.register(item, flags)
        if plain.sockets:
            found.extend(plain.poll(0))
        return found


def _fd_of(item: Any) -> int:  # noqa: ANN401 - whatever zmq.Poller takes
    return item if isinstance(item, int) else int(item.fileno())


def _watch_fd(fd: int, flags: int, woken: Event) -> None:
    known = current_hub().watches.get(fd)
    watch = known or watch_fd(fd)
    try:
        if flags & zmq.POLLIN:
            watch.wait_readable()
        else:
            watch.wait_writable()
        woken.set()
    finally:
        if known is None:
            watch.close()


def _cancel(threads: list[GreenThread[None]]) -> None:
    for thread in threads:
        thread.cancel()
    for thread in threads:
        thread.join()


# pyzmq's own hook for `socket.poll()`. Set from here, so that socket.py needs no poller.
Socket._poller_class = Poller  # noqa: SLF001
