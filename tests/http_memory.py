"""A connection without sockets: given pieces come in, what is said goes out."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from verdant.http import Request, Response, ServerConnection
from verdant.http.server import serve_connection

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

Seen = tuple[bytes, bytes, bytes]

# What an answer of `talk` looks like; interim ones have no length and no body.
_answer = re.compile(rb"HTTP/1\.1 (\d\d\d) [^\r]*(?:\r\n[^\r]+)*\r\n\r\n").match
_length = re.compile(rb"\r\nContent-Length: (\d+)", re.IGNORECASE).search


class MemoryStream:
    """A stream that receives `pieces`, then the end."""

    broken = False

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = iter(pieces)
        self._rest = b""
        self.said = bytearray()
        self.sendall: Callable[[bytes], None] = self.said.extend

    def recv(self, bytes_max: int) -> bytes:
        data = self._rest or next(self._pieces, b"")
        self._rest = data[bytes_max:]
        return data[:bytes_max]

    def is_stale(self) -> bool:
        return False

    def send_eof(self) -> None:
        """Nobody is there to hear it."""

    def abort(self) -> None:
        """Nothing waits here."""

    def close(self) -> None:
        """Nothing is held."""


def talk(pieces: Iterable[bytes], body_bytes_max: int) -> tuple[list[Seen], bytes]:
    """Serve a client that sends `pieces`: the whole requests it was understood to make, and what
    it was told."""
    stream = MemoryStream(pieces)
    seen: list[Seen] = []

    def handle(request: Request, connection: ServerConnection) -> Response:
        body = connection.read_body(body_bytes_max)
        seen.append((request.method, request.target, body))
        return Response(200, [], b"ok")

    connection = ServerConnection(stream, body_bytes_max=body_bytes_max)
    serve_connection(connection, handle)
    return seen, bytes(stream.said)


def statuses(said: bytes, methods: Iterable[bytes] = ()) -> list[int]:
    """The final statuses in `said`; fails when it is not answers from end to end.

    `methods`: those asked with, since an answer to HEAD has no body.
    """
    asked = iter(methods)
    found: list[int] = []
    position = 0
    while position < len(said):
        match = _answer(said, position)
        assert match is not None, said[position : position + 200]
        position = match.end()
        status = int(match[1])
        if status < 200:
            continue
        found.append(status)
        length = _length(match[0])
        assert length is not None, match[0]
        if next(asked, b"") != b"HEAD":
            position += int(length[1])
    assert position == len(said), said
    return found
