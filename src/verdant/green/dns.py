"""Names: the resolver's blocking calls, made in native worker threads.

Place     green; socket.py and monkey-patched programs call it under the stdlib's names.
Promise   the platform's own answers (hosts file, resolv.conf, IPv6 scopes) in its own order; a
          numeric address is answered without a thread.
Not here  a resolver of our own: two of them would disagree with the platform's sooner or later.
"""

from __future__ import annotations

import socket as _stdlib
from typing import TYPE_CHECKING, cast

from verdant.core import run_in_worker

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "getaddrinfo",
    "getfqdn",
    "gethostbyaddr",
    "gethostbyname",
    "gethostbyname_ex",
    "getnameinfo",
]

AddressInfo = tuple[
    _stdlib.AddressFamily, _stdlib.SocketKind, int, str, tuple[str, int] | tuple[str, int, int, int]
]

# Taken before a patch can replace them in their module.
_getaddrinfo = _stdlib.getaddrinfo
_getnameinfo = _stdlib.getnameinfo
_gethostbyname = _stdlib.gethostbyname
_gethostbyname_ex = _stdlib.gethostbyname_ex
_gethostbyaddr = _stdlib.gethostbyaddr
_getfqdn = _stdlib.getfqdn


def getaddrinfo(
    host: bytes | str | None,
    port: bytes | str | int | None,
    family: int = 0,
    type: int = 0,
    proto: int = 0,
    flags: int = 0,
) -> list[AddressInfo]:
    """As `socket.getaddrinfo`. Parks, unless `host` is numeric. Raises `socket.gaierror`."""
    lookup = cast("Callable[..., list[AddressInfo]]", _getaddrinfo)
    try:
        # No lookup can happen with this flag, so this cannot block.
        return lookup(host, port, family, type, proto, flags | _stdlib.AI_NUMERICHOST)
    except (_stdlib.gaierror, UnicodeError):
        return run_in_worker(lookup, host, port, family, type, proto, flags)


def getnameinfo(sockaddr: tuple[str, int], flags: int) -> tuple[str, str]:
    """As `socket.getnameinfo`. Parks."""
    return run_in_worker(_getnameinfo, sockaddr, flags)


def gethostbyname(hostname: str) -> str:
    """As `socket.gethostbyname`. Parks."""
    return run_in_worker(_gethostbyname, hostname)


def gethostbyname_ex(hostname: str) -> tuple[str, list[str], list[str]]:
    """As `socket.gethostbyname_ex`. Parks."""
    return run_in_worker(_gethostbyname_ex, hostname)


def gethostbyaddr(ip_address: str) -> tuple[str, list[str], list[str]]:
    """As `socket.gethostbyaddr`. Parks."""
    return run_in_worker(_gethostbyaddr, ip_address)


def getfqdn(name: str = "") -> str:
    """As `socket.getfqdn`. Parks."""
    return run_in_worker(_getfqdn, name)
