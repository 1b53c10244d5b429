"""Poller: wait for several sockets and descriptors at once.

Place     zmq, on readiness and the hub.
Promise   what `poll` returns is what is ready now; nothing that became ready while it looked is
          missed, because it watches before it looks.
Not here  `Socket.poll`, which is pyzmq's and comes here by its hook.

Sockets tell by their readiness, since another green thread's call may consume what an edge would
have told; plain descriptors and pyzmq's own sockets have a green thread each that waits for them.
"""

from __future__ import annotations

import select as _stdlib
from typing import TYPE_CHECKING, Any

import zmq
from zmq.backend import zmq_poll as _poll_natively

from verdant.core import monotonic, sleep, spawn
from verdant.green.select import wait_for_events
from verdant.sync import Event
from verdant.zmq.socket import Socket

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from verdant.core import GreenThread
    from verdant.zmq.readiness import Readiness

__all__ = ["Poller", "select", "zmq_poll"]

_IN, _OUT, _ERR, _PRI = (int(bit) for bit in (zmq.POLLIN, zmq.POLLOUT, zmq.POLLERR, zmq.POLLPRI))

_READ, _WRITE, _URGENT = _stdlib.POLLIN, _stdlib.POLLOUT, _stdlib.POLLPRI


class Poller(zmq.Poller):
    """pyzmq's poller for green sockets, pyzmq's own sockets, and plain descriptors."""

    def poll(self, timeout: float | None = None) -> list[tuple[Any, int]]:
        """As pyzmq's: (socket or descriptor, events) of those ready. Parks.

        `timeout`: milliseconds; None or negative waits for ever.
        """
        return zmq_poll(self.sockets, timeout)


def zmq_poll(
    sockets: Sequence[tuple[Any, int]], timeout: float | None = None
) -> list[tuple[Any, int]]:
    """As pyzmq's: (socket or descriptor, events) of those ready. Parks.

    `timeout`: milliseconds; None or negative waits for ever.
    """
    # A loop that finds something ready each time would keep every other green thread from running.
    sleep(0)
    ready = _ready_now(sockets)
    if ready or timeout == 0:
        return ready
    woken = Event()
    deadline = None if timeout is None or timeout < 0 else monotonic() + timeout / 1000
    observed = [(_readiness_of(item), flags) for item, flags in sockets if isinstance(item, Socket)]
    watchers: list[GreenThread[None]] = []
    try:
        for readiness, flags in observed:
            readiness.observe(woken, flags)
        watchers += [
            spawn(_watch, item, flags, woken, name="zmq poller")
            for item, flags in sockets
            if not isinstance(item, Socket)
        ]
        while not (ready := _ready_now(sockets)):
            left_s = None if deadline is None else deadline - monotonic()
            if left_s is not None and left_s <= 0:
                break
            woken.wait(left_s)
            woken.clear()
        return ready
    finally:
        for readiness, _ in observed:
            readiness.forget(woken)
        _cancel(watchers)


def _readiness_of(socket: Socket) -> Readiness:
    return socket._readiness  # noqa: SLF001 - two halves of one room


def _ready_now(sockets: Iterable[tuple[Any, int]]) -> list[tuple[Any, int]]:
    plain = [pair for pair in sockets if not isinstance(pair[0], Socket)]
    ready = dict(_poll_natively(plain, 0)) if plain else {}
    found: list[tuple[Any, int]] = []
    for item, flags in sockets:
        if isinstance(item, Socket):
            if events := int(item.get(zmq.EVENTS)) & flags:
                found.append((item, events))
        else:
            # pyzmq answers with the descriptor of what merely has one.
            key = item if isinstance(item, int | zmq.Socket) else item.fileno()
            if key in ready:
                found.append((key, ready[key]))
    return found


def _watch(item: Any, flags: int, woken: Event) -> None:  # noqa: ANN401 - whatever pyzmq takes
    fd = item if isinstance(item, int) else int(item.fileno())
    # One of pyzmq's own sockets has a descriptor like ours, edges only. Nobody looks on behalf of
    # others there, so no other green thread may use it meanwhile.
    mask = _READ if isinstance(item, zmq.Socket) else _mask(flags)
    while True:
        wait_for_events(fd, mask)
        woken.set()
        # The poller looks, and ends us if that was what it waits for.
        sleep(0)


def _mask(flags: int) -> int:
    # ZeroMQ's bits are poll(2)'s under other numbers.
    mask = 0
    for bit, mine in ((_IN, _READ), (_OUT, _WRITE), (_PRI, _URGENT)):
        mask |= mine if flags & bit else 0
    return mask


def _cancel(threads: list[GreenThread[None]]) -> None:
    for thread in threads:
        thread.cancel()
    for thread in threads:
        thread.join()


def select(
    rlist: Sequence[Any],
    wlist: Sequence[Any],
    xlist: Sequence[Any],
    timeout: float | None = None,
) -> tuple[list[Any], list[Any], list[Any]]:
    """As pyzmq's: those that are readable, writable, in error. Parks.

    `timeout`: seconds, as in the stdlib's; None or negative waits for ever.
    """
    wanted: dict[Any, int] = {}
    for items, bit in ((rlist, _IN), (wlist, _OUT), (xlist, _ERR)):
        for item in items:
            wanted[item] = wanted.get(item, 0) | bit
    limit_ms = None if timeout is None or timeout < 0 else timeout * 1000
    ready = zmq_poll(list(wanted.items()), limit_ms)
    readable, writable, failed = (
        [item for item, events in ready if events & bit] for bit in (_IN, _OUT, _ERR)
    )
    return readable, writable, failed


# pyzmq's own hook for `socket.poll()`. Set from here, so that socket.py needs no poller.
Socket._poller_class = Poller  # noqa: SLF001
