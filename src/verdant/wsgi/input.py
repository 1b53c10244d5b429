"""Input: a request's body as the file that PEP 3333 calls `wsgi.input`.

Place     wsgi, on a server connection.
Promise   read, readline, readlines and iteration as of a binary file, to the body's end and no
          byte further, however the body is framed. A body over the limit raises `BadRequest`.
Not here  "100 Continue" (the connection says it at the first read); what nobody reads (it, too).

Why not `io.BufferedReader`: it reads ahead of what was asked for, which would wait for a client
that sends its body piece by piece and expects an answer in between.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from verdant.http import BadRequest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from verdant.http import ServerConnection

__all__ = ["Input"]


class Input:
    """The body of the request that `connection` is answering. Reading parks.

    Every call may raise `BadRequest` (400, 408, 413) and `ConnectionLost`.
    """

    __slots__ = ("_bytes_max", "_connection", "_rest", "_taken")

    def __init__(self, connection: ServerConnection, bytes_max: int | None = None) -> None:
        self._connection = connection
        self._bytes_max = bytes_max
        # Received, and not asked for yet.
        self._rest = b""
        self._taken = 0

    def _next_piece(self) -> bytes:
        piece = self._connection.read_piece()
        self._taken += len(piece)
        if self._bytes_max is not None and self._taken > self._bytes_max:
            raise BadRequest(413, f"the body is over {self._bytes_max} bytes")
        return piece

    def read(self, size: int | None = -1, /) -> bytes:
        """Exactly `size` bytes, fewer only at the end; all of them without a size. Parks."""
        if size is not None and size >= 0:
            return self._read_exactly(size)
        pieces = [self._rest]
        self._rest = b""
        while piece := self._next_piece():
            pieces.append(piece)
        return b"".join(pieces)

    def _read_exactly(self, size: int) -> bytes:
        rest = self._rest
        if len(rest) < size:
            pieces = [rest]
            have = len(rest)
            self._rest = b""
            while have < size and (piece := self._next_piece()):
                pieces.append(piece)
                have += len(piece)
            rest = b"".join(pieces)
        self._rest = rest[size:]
        return rest[:size]

    def readline(self, size: int | None = -1, /) -> bytes:
        """The next line with its end, at most `size` bytes of it; b"" at the end. Parks."""
        if size is None or size < 0:
            size = -1
        rest = self._rest
        end = rest.find(b"\n") + 1
        if not end and (size < 0 or len(rest) < size):
            pieces = [rest]
            have = len(rest)
            self._rest = b""
            while (size < 0 or have < size) and (piece := self._next_piece()):
                pieces.append(piece)
                # Only the new piece is searched: a long line costs one pass.
                found = piece.find(b"\n") + 1
                if found:
                    end = have + found
                    break
                have += len(piece)
            rest = b"".join(pieces)
        end = end or len(rest)
        if 0 <= size < end:
            end = size
        self._rest = rest[end:]
        return rest[:end]

    def readlines(self, hint: int | None = -1, /) -> list[bytes]:
        """The lines that are left; with a hint, no more once they have that many bytes. Parks."""
        lines = []
        total = 0
        for line in self:
            lines.append(line)
            total += len(line)
            if hint is not None and 0 < hint <= total:
                break
        return lines

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        line = self.readline()
        if not line:
            raise StopIteration
        return line
