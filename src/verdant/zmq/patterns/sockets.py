"""Sockets: how the patterns bind and connect, bounded and guarded the same way everywhere.

Place     zmq/patterns.
Promise   a frame over the port's limit ends its sender's connection; nothing lingers when a pattern
          closes; keys are in force before anybody can connect; plain text to other machines is
          asked for by name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import zmq

from verdant.errors import ConfigurationError
from verdant.zmq.security import PLAIN, is_exposed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from verdant.zmq.context import Context
    from verdant.zmq.security import ClientSecurity, PortSecurity
    from verdant.zmq.socket import Socket

__all__ = ["bound", "connected", "endpoint_of", "until_closed"]

# A peer that is back is found again within this.
RECONNECT_MS_MAX = 1000


def bound(
    context: Context,
    kind: int,
    endpoint: str,
    security: PortSecurity,
    frame_bytes_max: int,
    options: Mapping[zmq.SocketOption, int] | None = None,
) -> Socket:
    """A socket of `kind` that is bound to `endpoint`.

    Raises ZMQError as `bind` does, `ConfigurationError` for plain text that was not asked for on an
    endpoint that other machines can reach.
    `options`: further ones, set before: libzmq takes high-water marks as they are at the bind.
    """
    if security is None and is_exposed(endpoint):
        raise ConfigurationError(
            f"{endpoint!r} can be reached from other machines in plain text: give it keys by "
            "security=ServerSecurity(...), or say security=PLAIN"
        )
    socket = context.socket(kind)
    try:
        _limit(socket, frame_bytes_max)
        for option, value in (options or {}).items():
            socket.setsockopt(option, value)
        if security is not None and security != PLAIN:
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


def until_closed(loop: Callable[..., None], *arguments: object) -> None:
    """Run `loop(*arguments)`, a pattern's green thread, until its socket or context is closed."""
    try:
        loop(*arguments)
    except zmq.ZMQError as exc:
        if exc.errno not in (zmq.ENOTSOCK, zmq.ETERM):
            raise
