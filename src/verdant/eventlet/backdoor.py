"""Backdoor: a Python console for whoever connects to a socket.

Place     eventlet, over net's console.
Differs   what is typed prints to the one who typed it, and to nobody else; `exit()` leaves the
          console. On a unix socket of its own, `verdant.net.Backdoor` also guards the file.
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Any

from verdant.eventlet import greenthread
from verdant.net import Stream, serve_console

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["backdoor", "backdoor_server"]


def backdoor_server(sock: Any, locals: Mapping[str, Any] | None = None) -> None:  # noqa: A002
    """Serve a console to each client that the listening `sock` accepts, for ever. Parks.

    `locals`: names that the consoles know. Whoever can connect can do what the process can.
    """
    try:
        while True:
            try:
                connection = sock.accept()
            except OSError as exc:
                # It was shut down.
                if exc.errno == errno.EPIPE:
                    continue
                raise
            backdoor(connection, locals)
    finally:
        sock.close()


def backdoor(conn_info: tuple[Any, Any], locals: Mapping[str, Any] | None = None) -> None:  # noqa: A002
    """Serve a console on a connection: a socket and its peer's address. Does not park."""
    stream = Stream(*conn_info)
    thread = greenthread.spawn(serve_console, stream, dict(locals or {}))
    thread.link(lambda _: stream.close())
