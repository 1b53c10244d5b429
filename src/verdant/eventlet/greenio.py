"""Greenio: Eventlet's names for green sockets and pipes.

Place     eventlet, over green sockets and files.
Differs   a GreenSocket is a socket, not something around one: made of another socket, it takes that
          one's descriptor over.
"""

from __future__ import annotations

import os
import socket as _stdlib
from typing import IO, Any

from verdant.green.files import reopened
from verdant.green.socket import socket

__all__ = ["GreenPipe", "GreenSocket", "set_nonblocking", "shutdown_safe"]


class GreenSocket(socket):
    """A green socket: of a family as `socket.socket`, or of a stdlib socket that exists."""

    def __init__(self, family: Any = _stdlib.AF_INET, *args: Any, **kwargs: Any) -> None:
        if isinstance(family, _stdlib.socket):
            timeout = family.gettimeout()
            super().__init__(family.family, family.type, family.proto, fileno=family.detach())
            self.settimeout(timeout)
        else:
            super().__init__(family, *args, **kwargs)


def GreenPipe(
    name: Any,
    mode: str = "r",
    buffering: int = -1,
    encoding: str | None = None,
    errors: str | None = None,
    newline: str | None = None,
    closefd: bool = True,
    opener: Any = None,
) -> IO[Any]:
    """A green file of the pipe `name`: a descriptor, or a file, which is used up. Does not park."""
    if hasattr(name, "fileno"):
        return reopened(name)
    return reopened(open(name, mode, buffering, encoding, errors, newline, closefd, opener))


def set_nonblocking(fd: Any) -> None:
    """Let calls on `fd`, a descriptor or what has one, return at once. Does not park."""
    os.set_blocking(fd if isinstance(fd, int) else fd.fileno(), False)


def shutdown_safe(sock: Any) -> None:
    """Shut both directions down; nothing if there is no connection any more. Does not park."""
    try:
        sock.shutdown(_stdlib.SHUT_RDWR)
    except TypeError:
        # pyOpenSSL's takes no argument.
        sock.shutdown()
    except OSError:
        return
