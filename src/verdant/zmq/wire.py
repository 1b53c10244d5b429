"""Wire: one whole message in or out, at once or not at all.

Place     zmq; the loops of service.py and connection.py, which move many messages per wake-up.
Promise   `receive_now` and `send_now` never park, so the hub itself may call them. After a run of
          them `look` lets whoever waits on the socket go on.
Not here  waiting (readiness.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import zmq

if TYPE_CHECKING:
    from collections.abc import Sequence

    from verdant.zmq.socket import Socket

__all__ = ["endpoint_of", "look", "receive_now", "send_now"]

PORT_MAX = 65535


def receive_now(socket: Socket) -> list[bytes]:
    """A whole message. Raises `zmq.Again` when there is none. Does not park."""
    return cast("list[bytes]", socket.recv_multipart(zmq.NOBLOCK))


def send_now(socket: Socket, parts: Sequence[bytes]) -> None:
    """Queue a whole message. Raises `zmq.Again` when there is no room. Does not park.

    Only the first frame can be refused: once ZeroMQ has taken that, it takes the others.
    """
    socket.send_multipart(parts, zmq.NOBLOCK)


def look(socket: Socket) -> None:
    """Wake whoever waits on the socket and can go on. Due after a run of the above."""
    # Reading EVENTS through the green socket does that.
    socket.get(zmq.EVENTS)


def endpoint_of(place: int | str) -> str:
    """A ZeroMQ endpoint: a bare port is TCP on 127.0.0.1 (0: any free one); text stays as it is.

    Raises ValueError for a number that is no port, and for a text that names no transport.
    """
    if isinstance(place, int):
        if not 0 <= place <= PORT_MAX:
            raise ValueError(f"{place} is not a port: give 0 to {PORT_MAX}")
        return f"tcp://127.0.0.1:{place or '*'}"
    if "://" not in place:
        raise ValueError(
            f"{place!r} is not a ZeroMQ endpoint: write it as tcp://127.0.0.1:8000, "
            "ipc:///run/name.sock, inproc://name, or as a port"
        )
    return place
