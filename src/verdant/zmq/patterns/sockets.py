"""Sockets: how the patterns bind and connect, bounded and guarded the same way everywhere.

Place     zmq/patterns.
Promise   a frame over the port's limit ends its sender's connection; nothing lingers when a pattern
          closes; keys are in force before anybody can connect.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import zmq

if TYPE_CHECKING:
    from collections.abc import Mapping

    from verdant.zmq.context import Context
    from verdant.zmq.security import ClientSecurity, ServerSecurity
    from verdant.zmq.socket import Socket

__all__ = ["bound", "connected", "endpoint_of"]

# A peer that is back is found again within this.
RECONNECT_MS_MAX = 1000


def bound(
    context: Context,
    kind: int,
    endpoint: str,
    security: ServerSecurity | None,
    frame_bytes_max: int,
    options: Mapping[zmq.SocketOption, int] | None = None,
) -> Socket:
    """A socket of `kind` that is bound to `endpoint`. Raises ZMQError as `bind` does.

    `options`: further ones, set before: libzmq takes high-water marks as they are at the bind.
    """
    socket = context.socket(kind)
    try:
        _limit(socket, frame_bytes_max)
        for option, value in (options or {}).items():
            socket.setsockopt(option, value)
        if security is not None:
            security.apply(socket, endpoint)
        socket.bind(endpoint)
    except BaseException:
        socket.close(0)
        raise
    return socket


def connected(
    context: Context,
    kind: int,
    endpoint: str,
    security: ClientSecurity | None,
    frame_bytes_max: int,
    options: Mapping[zmq.SocketOption, int] | None = None,
) -> Socket:
    """A socket of `kind` that connects to `endpoint`, now or when somebody is there."""
    socket = context.socket(kind)
    try:
        _limit(socket, frame_bytes_max)
        for option, value in (options or {}).items():
            socket.setsockopt(option, value)
        socket.setsockopt(zmq.RECONNECT_IVL_MAX, RECONNECT_MS_MAX)
        if security is not None:
            security.apply(socket)
        socket.connect(endpoint)
    except BaseException:
        socket.close(0)
        raise
    return socket


def _limit(socket: Socket, frame_bytes_max: int) -> None:
    socket.setsockopt(zmq.LINGER, 0)
    socket.setsockopt(zmq.MAXMSGSIZE, frame_bytes_max)


def endpoint_of(socket: Socket) -> str:
    """Where `socket` is bound, its port filled in. Does not park."""
    return bytes(socket.getsockopt(zmq.LAST_ENDPOINT)).rstrip(b"\0").decode()
