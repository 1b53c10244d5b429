"""Server: a WSGI application as an http handler (PEP 3333).

Place     wsgi, on http.
Promise   the application's iterable is closed whatever happens; an answer with a length goes out
          with it, one without is chunked.
Not here  accepting and limits (http/server.py).
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

from verdant.http import Field, Response
from verdant.net import Stream
from verdant.wsgi.environ import make_environ

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from wsgiref.types import WSGIApplication

    from verdant.http import Request, ServerConnection

__all__ = ["wsgi_handler"]


class _Body(io.RawIOBase):
    """The request's body as a file; reading it parks the green thread."""

    def __init__(self, connection: ServerConnection) -> None:
        self._connection = connection
        self._rest = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401 - a writable buffer of any kind
        if not self._rest:
            self._rest = self._connection.read_piece()
        size = min(len(buffer), len(self._rest))
        buffer[:size] = self._rest[:size]
        self._rest = self._rest[size:]
        return size


class _Answer:
    """What the application said with start_response."""

    def __init__(self) -> None:
        self.status = 0
        self.headers: list[Field] = []
        self.written: list[bytes] = []

    def start(
        self, status: str, headers: list[tuple[str, str]], exc_info: object = None
    ) -> Callable[[bytes], object]:
        if self.status and exc_info is None:
            raise AssertionError("the application called start_response twice")
        self.status = int(status.split(" ", 1)[0])
        self.headers = [
            (name.encode("latin-1"), value.encode("latin-1")) for name, value in headers
        ]
        return self.written.append

    def has_length(self) -> bool:
        return any(name.lower() == b"content-length" for name, _ in self.headers)


def wsgi_handler(
    application: WSGIApplication,
) -> Callable[[Request, ServerConnection], Response | None]:
    """A handler for `HttpServer` that asks `application`. The handler parks as the body does."""

    def handle(request: Request, connection: ServerConnection) -> Response | None:
        stream = connection.stream
        server: tuple[str, int] = ("", 0)
        peer_host = ""
        if isinstance(stream, Stream):
            name = stream.socket.getsockname()
            server = (name[0], name[1]) if isinstance(name, tuple) else (str(name), 0)
            peer_host = stream.peer_host
        body = io.BufferedReader(_Body(connection))
        answer = _Answer()
        environ = make_environ(request, body, server, peer_host)
        pieces: Iterable[bytes] = application(environ, answer.start)
        try:
            return _send(connection, answer, pieces)
        finally:
            close = getattr(pieces, "close", None)
            if close is not None:
                close()

    return handle


def _send(
    connection: ServerConnection, answer: _Answer, pieces: Iterable[bytes]
) -> Response | None:
    if answer.has_length():
        body = b"".join([*answer.written, *pieces])
        fields = [pair for pair in answer.headers if pair[0].lower() != b"content-length"]
        return Response(answer.status, fields, body)
    iterator = iter(pieces)
    # start_response may be called as late as the first piece.
    first = next(iterator, b"")

    def everything() -> Iterable[bytes]:
        yield from answer.written
        yield first
        yield from iterator

    connection.respond_streaming(answer.status, answer.headers, everything())
    return None
