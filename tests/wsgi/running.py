"""A WSGI server for one test, and raw exchanges with it."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from verdant import Timeout
from verdant.net import bound_address, connect, listen
from verdant.wsgi import WsgiServer

if TYPE_CHECKING:
    from collections.abc import Iterator


class Running:
    """The server, and the port where it listens."""

    def __init__(self, server: WsgiServer, port: int) -> None:
        self.server = server
        self.port = port

    def say(self, data: bytes, *, finish: bool = True) -> bytes:
        """Everything that the server says to `data` until it closes. Parks."""
        stream = connect(("127.0.0.1", self.port))
        try:
            stream.sendall(data)
            if finish:
                stream.send_eof()
            got = b""
            while piece := stream.recv(65_536):
                got += piece
        finally:
            stream.close()
        return got


@contextmanager
def running(application: Any, *, tls: Any = None, **options: Any) -> Iterator[Running]:
    listener = listen("127.0.0.1:0", tls=tls)
    server = WsgiServer(listener, application, **options)
    server.start()
    address: Any = bound_address(listener)
    try:
        with Timeout(50):
            yield Running(server, address.port)
    finally:
        server.stop()


def get(
    target: bytes = b"/", *fields: bytes, method: bytes = b"GET", version: bytes = b"1.1"
) -> bytes:
    lines = [b"%b %b HTTP/%b" % (method, target, version), b"Host: a.test", *fields]
    return b"\r\n".join(lines) + b"\r\n\r\n"
