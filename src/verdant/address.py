"""Addresses: where to listen or connect, as values.

Place     floor 0, pure; every room that takes an address takes one of these or its text.
Promise   `parse_address(str(address)) == address`; what is not an address is an error that shows
          how one is written.
Not here  names (green/dns.py), sockets (net/).

    127.0.0.1:8000     [::1]:8000     localhost:8000     *:8000 (every IPv4 and IPv6 address)
    unix:/run/verdant/web.sock
"""

from __future__ import annotations

from dataclasses import dataclass

from verdant.errors import VerdantError

__all__ = ["BadAddress", "TcpAddress", "UnixAddress", "parse_address"]

PORT_MAX = 65535
# Linux's sun_path, less its closing NUL (unix(7)).
UNIX_PATH_BYTES_MAX = 107

_HOW = "write it as 127.0.0.1:8000, [::1]:8000, *:8000 or unix:/path/to/socket"


class BadAddress(VerdantError, ValueError):
    """Raised for a text that is not an address. The caller's fault; the text shows how."""

    code = "bad-address"


@dataclass(frozen=True, slots=True)
class TcpAddress:
    """A host (a name, an IPv4 or IPv6 address without brackets, or `*`) and a port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class UnixAddress:
    """The path of a unix socket."""

    path: str

    def __str__(self) -> str:
        return f"unix:{self.path}"


def parse_address(text: str) -> TcpAddress | UnixAddress:
    """The address that `text` says. Raises `BadAddress`."""
    if text.startswith("unix:"):
        path = text.removeprefix("unix:")
        if not path or "\0" in path:
            raise BadAddress(f"{text!r} names no socket: {_HOW}")
        if len(path.encode("utf-8", "surrogateescape")) > UNIX_PATH_BYTES_MAX:
            raise BadAddress(
                f"{text!r} is longer than the {UNIX_PATH_BYTES_MAX} bytes that a unix socket's "
                "path may have: choose a shorter directory"
            )
        return UnixAddress(path)
    host, colon, port_text = text.rpartition(":")
    if not colon or not host:
        raise BadAddress(f"{text!r} is not an address: {_HOW}")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise BadAddress(f"{text!r} has an IPv6 address without brackets: {_HOW}")
    if not host or any(c.isspace() or c in "[]/\0" for c in host):
        raise BadAddress(f"{text!r} is not an address: {_HOW}")
    if not (port_text.isascii() and port_text.isdigit()) or len(port_text) > len(str(PORT_MAX)):
        raise BadAddress(f"{text!r} has no port: {_HOW}")
    port = int(port_text)
    if port > PORT_MAX:
        raise BadAddress(f"{text!r} has port {port}, above {PORT_MAX}: {_HOW}")
    return TcpAddress(host, port)
