"""Configuration of log servers and of their clients, as frozen values.

Place     logs, pure: the command line reads the file and hands this down.
Promise   every default is safe: loopback, bounded, durable.
"""

from __future__ import annotations

import ipaddress
from typing import Annotated, Literal

import msgspec

from verdant.address import BadAddress, TcpAddress, parse_address
from verdant.zmq.endpoints import is_exposed

__all__ = ["InputConfig", "LogServerConfig"]

# A line's own bound (record.py) is 256 Ki characters; longer ones are cut there.
LINE_BYTES_MAX = 256 * 1024
# What a body may unpack to at most: it is held in memory while it is read.
BODY_BYTES_MAX = 1024 * 1024 * 1024
CONNECTIONS_MAX = 1_048_576

_Text = Annotated[str, msgspec.Meta(min_length=1)]

# Kinds whose senders cannot be known: no connection, so neither TLS nor a token.
_DATAGRAMS = ("syslog-udp", "gelf-udp")


class InputConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One input of a log server: which protocol, where, for whom (`[[logs.server.input]]`)."""

    kind: Literal["syslog", "syslog-udp", "relp", "http", "gelf", "gelf-udp"]
    # Loopback: whoever can reach an input can fill the disk.
    bind: _Text
    # What a line that names no app is kept under.
    app: _Text = "-"
    # PEM files; with a certificate the input speaks TLS, with `client_ca` clients must show theirs.
    certificate: _Text | None = None
    key: _Text | None = None
    client_ca: _Text | None = None
    # Lines of `TOKEN write APP[,APP]`; only for http, the others have no place for a token.
    tokens_file: _Text | None = None
    # Listen outside loopback though anybody can then send.
    insecure: bool = False
    # Of one message. 64 KiB is what a datagram can have, and eight times what syslogs send.
    line_bytes_max: Annotated[int, msgspec.Meta(ge=480, le=LINE_BYTES_MAX)] = 64 * 1024
    # Of one HTTP request, unpacked. Elasticsearch's and OTLP's exporters stay far below it.
    body_bytes_max: Annotated[int, msgspec.Meta(ge=1024, le=BODY_BYTES_MAX)] = 16 * 1024 * 1024
    connections_max: Annotated[int, msgspec.Meta(ge=1, le=CONNECTIONS_MAX)] = 1000

    def __post_init__(self) -> None:
        """Refuses what contradicts itself, and what would let strangers in unasked."""
        try:
            address = parse_address(self.bind)
        except BadAddress as exc:
            raise ValueError(f"bind: {exc}") from exc
        datagrams = self.kind in _DATAGRAMS
        if datagrams and not isinstance(address, TcpAddress):
            raise ValueError(f"bind: {self.kind} needs a host and a port, not {self.bind!r}")
        if datagrams and self.certificate is not None:
            raise ValueError(f"certificate: {self.kind} has no TLS; use {self.kind[:-4]} for that")
        if self.certificate is None and (self.key or self.client_ca):
            raise ValueError("certificate: without it neither key nor client_ca has a use")
        if self.tokens_file is not None and self.kind != "http":
            raise ValueError(f"tokens_file: {self.kind} has no place for a token; use client_ca")
        known = self.client_ca is not None or (
            self.tokens_file is not None and self.certificate is not None
        )
        if not (known or self.insecure or is_local(self.bind)):
            remedy = "certificate with client_ca"
            if self.kind == "http":
                remedy += ", or certificate with tokens_file"
            raise ValueError(
                f"bind: {self.bind!r} is reached from outside, and {self.kind} as configured takes "
                "lines from anybody: bind to 127.0.0.1, "
                + (f"set {remedy}, " if not datagrams else "")
                + "or write insecure = true"
            )


def is_local(address: str) -> bool:
    """True for an address that only this machine's programs can reach."""
    where = parse_address(address)
    if not isinstance(where, TcpAddress):
        return True
    if where.host == "localhost":
        return True
    try:
        return ipaddress.ip_address(where.host).is_loopback
    except ValueError:
        return False


class LogServerConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One log server: its name, its three endpoints, its directory and its inputs."""

    name: str
    # Acked batches come here (ROUTER).
    collect: str
    # Plain clients PUSH lines here: at most once.
    pull: str
    # Queries and tails are asked here (ROUTER; REQ clients work too).
    query: str
    data_dir: str
    # Oldest segments go when the store is larger; 10 GiB fit any disk that keeps logs.
    store_bytes_max: int = 10 * 1024**3
    # The server's secret key file (`verdant keys new`). With it the three ports take CURVE alone.
    keys: str | None = None
    # A directory of the allowed clients' public key files, followed as it changes; "*" is any key.
    allow: str | None = None
    # Plain text to other machines: whoever is on the way reads and writes lines.
    insecure: bool = False
    # Other protocols that lines may come by; none unless asked for.
    input: list[InputConfig] = msgspec.field(default_factory=list)

    def __post_init__(self) -> None:
        """Refuses ports that strangers could use, and keys that nobody could show."""
        if self.keys is not None and not self.allow:
            raise ValueError(
                "allow: a server with keys must say whose it takes: a directory of their .key "
                'files, or "*" for any'
            )
        if self.keys is None and self.allow is not None:
            raise ValueError("keys: a server that allows some keys needs one itself")
        if self.keys is not None or self.insecure:
            return
        for name in ("collect", "pull", "query"):
            endpoint = getattr(self, name)
            if is_exposed(endpoint):
                raise ValueError(
                    f"{name}: {endpoint!r} can be reached from other machines in plain text; give "
                    "the server `keys` and `allow`, or say `insecure = true`"
                )
