"""Proxy: join two sockets, as a pair of green threads.

Place     zmq, on sockets and the poller.
Promise   messages go both ways whole and in order; a side that takes nothing holds its messages
          back in libzmq's queues, where the high-water marks are. Other green threads go on.
Not here  pyzmq's devices, which run in native threads with contexts of their own.

Why not libzmq's zmq_proxy(3) on a native thread: it takes the sockets away from their thread for
good, nothing but the context's end stops it, and a `Timeout` or `cancel()` could not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import zmq

from verdant.core import spawn
from verdant.sync import Event
from verdant.zmq.poller import zmq_poll
from verdant.zmq.socket import Socket

if TYPE_CHECKING:
    from verdant.core import GreenThread

__all__ = ["device", "proxy", "proxy_steerable"]

# Messages one way before the other way is looked at.
MESSAGES_PER_TURN = 64


def proxy(
    frontend: zmq.Socket[Any], backend: zmq.Socket[Any], capture: zmq.Socket[Any] | None = None
) -> None:
    """Pass messages between `frontend` and `backend` until one of them ends. Parks.

    `capture` gets a copy of each. Raises the ZMQError that ended it: ContextTerminated, or
    ENOTSOCK after a close. Cancel the green thread, or bound the call by a `Timeout`, to stop it.
    """
    front, back = _green(frontend), _green(backend)
    copies = None if capture is None else _green(capture)
    over = Event()
    failures: list[BaseException] = []
    pumps = [spawn(_pump, front, back, copies, over, failures, name="zmq proxy")]
    if front is not back:
        pumps.append(spawn(_pump, back, front, copies, over, failures, name="zmq proxy"))
    try:
        over.wait()
    finally:
        _stop(pumps)
    raise failures[0]


def proxy_steerable(
    frontend: zmq.Socket[Any],
    backend: zmq.Socket[Any],
    capture: zmq.Socket[Any] | None = None,
    control: zmq.Socket[Any] | None = None,
) -> None:
    """As `proxy`, but obey PAUSE, RESUME and TERMINATE from the socket `control`. Parks.

    Returns after TERMINATE. Other commands raise ValueError.
    """
    if control is None:
        proxy(frontend, backend, capture)
        return
    commands = _green(control)
    running: GreenThread[None] | None = None
    try:
        running = spawn(proxy, frontend, backend, capture, name="zmq proxy")
        while True:
            command = commands.recv()
            if command == b"TERMINATE":
                return
            if command == b"PAUSE":
                if running is not None:
                    _stop([running])
                    running = None
            elif command == b"RESUME":
                if running is None:
                    running = spawn(proxy, frontend, backend, capture, name="zmq proxy")
            else:
                raise ValueError(f"{command!r} is no command: use PAUSE, RESUME or TERMINATE")
    finally:
        if running is not None:
            _stop([running])


def device(device_type: int, frontend: zmq.Socket[Any], backend: zmq.Socket[Any]) -> None:
    """pyzmq's older name of `proxy`; the type says nothing that the sockets do not. Parks."""
    proxy(frontend, backend)


def _green(socket: zmq.Socket[Any]) -> Socket:
    return socket if isinstance(socket, Socket) else Socket(socket)


def _pump(
    source: Socket,
    target: Socket,
    copies: Socket | None,
    over: Event,
    failures: list[BaseException],
) -> None:
    try:
        while True:
            # Not received before there is room: what a stopped proxy holds would be lost.
            zmq_poll([(source, zmq.POLLIN)])
            zmq_poll([(target, zmq.POLLOUT)])
            try:
                for _ in range(MESSAGES_PER_TURN):
                    parts = source.recv_multipart(zmq.NOBLOCK, copy=False)
                    if copies is not None:
                        copies.send_multipart(parts, copy=False)
                    target.send_multipart(parts, copy=False)
            except zmq.Again:
                continue
    except zmq.ZMQError as exc:
        failures.append(exc)
        over.set()


def _stop(threads: list[GreenThread[None]]) -> None:
    for thread in threads:
        thread.cancel()
    for thread in threads:
        thread.join()
