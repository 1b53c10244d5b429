"""Security: make a socket's port ask for keys, and a client show its own.

Place     zmq; the door to keys, gates and frame checks. Plain text needs to be asked for by name.
Promise   a server is guarded before it is bound, or it is an error. Nobody without an allowed key
          gets a frame through; whoever is refused is counted.
Not here  TLS: ZeroMQ has its own handshake, CURVE (RFC 26).

    keys = read_keys("/etc/verdant/keys/logs.key_secret")
    gate = secure_server(socket, keys, allow="/etc/verdant/keys/clients")
    socket.bind("tcp://*:8051")

    secure_client(socket, read_public("logs.key"), read_keys("web.key_secret"))
    socket.connect("tcp://logs.example.com:8051")
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import zmq

from verdant.zmq.complaints import Complaints
from verdant.zmq.endpoints import is_exposed
from verdant.zmq.errors import BadFrames, BadKeyFile
from verdant.zmq.frames import REQUEST_BYTES_MAX, FrameLimits, check_frames
from verdant.zmq.gate import Gate, GateStatistics
from verdant.zmq.guard import Guard, guard_of
from verdant.zmq.keys import (
    KeyPair,
    allowed_keys,
    checked_key,
    new_keys,
    read_keys,
    read_public,
    write_keys,
)
from verdant.zmq.zap import Policy, parse_networks

if TYPE_CHECKING:
    from collections.abc import Iterable

    from verdant.zmq.socket import Socket
    from verdant.zmq.zap import Network

__all__ = [
    "ANY_KEY",
    "PLAIN",
    "REQUEST_BYTES_MAX",
    "BadFrames",
    "BadKeyFile",
    "ClientSecurity",
    "Complaints",
    "FrameLimits",
    "Gate",
    "GateStatistics",
    "Guard",
    "KeyPair",
    "PortSecurity",
    "ServerSecurity",
    "allowed_keys",
    "check_frames",
    "checked_key",
    "guard_of",
    "is_exposed",
    "new_keys",
    "plain_server",
    "read_keys",
    "read_public",
    "secure_client",
    "secure_server",
    "write_keys",
]

# Lets in whoever holds a key, any key: nobody on the way can read or change anything, and it is
# not known who it is.
ANY_KEY = "*"


def secure_server(
    socket: Socket,
    keys: KeyPair,
    *,
    allow: str | Path | Iterable[str | bytes],
    networks: Iterable[str] | None = None,
    name: str = "a ZeroMQ port",
) -> Gate:
    """Have `socket` take CURVE connections alone. Call it before `bind`. Reads `allow`.

    `allow`: a directory of the clients' `*.key` files (followed as it changes), or the public keys
    themselves, or `ANY_KEY`. `networks`: CIDR texts that clients must come from. `name`: what the
    log calls the port. Returns the gate, which counts. Raises `BadKeyFile`, and ValueError for a
    key or network that is none or a socket that is bound.
    """
    directory: Path | None = None
    known: dict[bytes, str] | None
    if isinstance(allow, Path) or (isinstance(allow, str) and allow != ANY_KEY):
        directory, known = Path(allow), {}
    elif isinstance(allow, str):
        known = None
    else:
        known = {checked_key(key): "" for key in allow}
    policy = Policy("CURVE", known, _networks(networks))
    gate = Gate(name, policy, directory)
    _must_be_fresh(socket)
    # The guard first: a CURVE port without one lets every key in.
    guard_of(socket.context).place(socket, gate)
    socket.setsockopt(zmq.CURVE_SERVER, 1)
    socket.setsockopt(zmq.CURVE_PUBLICKEY, keys.public)
    socket.setsockopt(zmq.CURVE_SECRETKEY, keys.secret)
    return gate


def plain_server(
    socket: Socket, *, networks: Iterable[str], name: str = "a plain ZeroMQ port"
) -> Gate:
    """Have `socket` take plain connections from `networks` alone. Call it before `bind`.

    Addresses can be forged by whoever is on the way: for networks that you trust. Returns the
    gate. Raises ValueError for a network that is none or a socket that is bound.
    """
    gate = Gate(name, Policy("NULL", None, _networks(networks)))
    _must_be_fresh(socket)
    guard_of(socket.context).place(socket, gate)
    return gate


def secure_client(socket: Socket, server: str | bytes, keys: KeyPair) -> None:
    """Have `socket` show `keys` to the server whose public key is `server`, and to no other.

    Call it before `connect`. Does not park. Raises ValueError for a key that is none, or a socket
    that is connected.
    """
    _must_be_fresh(socket)
    socket.setsockopt(zmq.CURVE_SERVERKEY, checked_key(server))
    socket.setsockopt(zmq.CURVE_PUBLICKEY, keys.public)
    socket.setsockopt(zmq.CURVE_SECRETKEY, keys.secret)


@dataclass(frozen=True, slots=True)
class ServerSecurity:
    """What `secure_server` wants to know, as a value that a service is given."""

    keys: KeyPair
    allow: str | Path | tuple[str | bytes, ...]
    networks: tuple[str, ...] | None = None

    def apply(self, socket: Socket, name: str) -> Gate:
        """Guard `socket`; as `secure_server`."""
        return secure_server(socket, self.keys, allow=self.allow, networks=self.networks, name=name)


# How a part of Verdant is told to open a port: None is plain text too, on this machine alone.
PLAIN: Literal["plain"] = "plain"
PortSecurity = ServerSecurity | Literal["plain"] | None


@dataclass(frozen=True, slots=True)
class ClientSecurity:
    """What `secure_client` wants to know, as a value. `server`: the server's public key."""

    server: bytes
    keys: KeyPair

    def apply(self, socket: Socket) -> None:
        """Have `socket` show its key; as `secure_client`."""
        secure_client(socket, self.server, self.keys)


def _networks(texts: Iterable[str] | None) -> tuple[Network, ...] | None:
    return None if texts is None else parse_networks(list(texts))


def _must_be_fresh(socket: Socket) -> None:
    # libzmq takes a socket's keys when it binds or connects: later they change nothing.
    if bytes(socket.getsockopt(zmq.LAST_ENDPOINT)).rstrip(b"\0"):
        raise ValueError("this socket is bound or connected already: secure it before that")
