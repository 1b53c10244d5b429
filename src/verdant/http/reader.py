"""Reader: one stream's bytes cut into heads and bodies, for either end.

Place     http, on a stream and the parser; connection.py and client.py are its two ends.
Promise   what follows a message in the same receive is kept for the next one. A body is read to
          its exact end, or the loss is an error: a truncated body never passes for a whole one.
Not here  what a head means.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from verdant.http.errors import BadRequest, ConnectionLost
from verdant.http.parser import HEAD_BYTES_MAX, ChunkedDecoder

if TYPE_CHECKING:
    from collections.abc import Callable

    from verdant.http.errors import HttpError

__all__ = ["ByteStream", "MessageReader"]

# Heads: larger receives show as allocation time in the kernel's and Python's accounts.
HEAD_RECEIVE_BYTES = 8 * 1024
# Bodies: a socket buffer's worth, so that a large body takes few turns.
BODY_RECEIVE_BYTES = 64 * 1024

# What `_left` says besides a number of bytes.
_CHUNKED = -1
_UNTIL_CLOSE = -2


class ByteStream(Protocol):
    """What http needs of a connection; `net.Stream` is one, and tests have others."""

    sendall: Callable[[bytes], None]
    # True when `recv` said b"" because the connection broke.
    broken: bool

    def recv(self, bytes_max: int) -> bytes:
        """Receive; b"" at the end."""

    def is_stale(self) -> bool:
        """True when something arrived that nobody asked for, the end included."""

    def send_eof(self) -> None:
        """Finish sending."""

    def abort(self) -> None:
        """Break it."""

    def close(self) -> None:
        """Close it."""


class MessageReader:
    """Reads messages from `stream`, one after the other."""

    __slots__ = ("_decoder", "_left", "_recv", "buffer", "stream", "trailers")

    def __init__(self, stream: ByteStream) -> None:
        self.stream = stream
        self.buffer = b""
        self._recv = stream.recv
        self._left = 0
        self._decoder: ChunkedDecoder | None = None
        # The field lines behind the present chunked body, each opened by CR LF, once it is read.
        self.trailers = b""

    @property
    def body_finished(self) -> bool:
        """True when the present message was read to its end."""
        return self._left == 0

    def read_head(self) -> bytes | None:
        """The next head without its blank line, or None when the peer closed before one. Parks.

        Raises `BadRequest` (431, or 400 for bare LF) and `ConnectionLost`.
        """
        buffer = self.buffer or self._recv(HEAD_RECEIVE_BYTES)
        end = buffer.find(b"\r\n\r\n")
        start = 0
        while end < 0:
            # A whole head in one receive is what nearly all are; this is the rest.
            self._check_unfinished(buffer, start)
            if buffer:
                self._head_is_partial()
            data = self._recv(HEAD_RECEIVE_BYTES) if buffer else b""
            if not data:
                self.buffer = b""
                if buffer.strip(b"\r\n"):
                    raise ConnectionLost("the peer closed in the middle of a head")
                return None
            # The end may straddle two receives.
            start = max(0, len(buffer) - 3)
            buffer += data
            end = buffer.find(b"\r\n\r\n", start)
        if end > HEAD_BYTES_MAX:
            raise BadRequest(431, f"the head is over {HEAD_BYTES_MAX} bytes")
        self.buffer = buffer[end + 4 :]
        if self._serves and end and buffer.startswith(b"\r\n"):
            # RFC 9112 section 2.2: one empty line before a request is ignored.
            return buffer[2:end]
        return buffer[:end]

    # Strangers send requests: an empty line before one is forgiven, framing behind one is not. A
    # backend's answer is the other way round.
    _serves = False

    def _head_is_partial(self) -> None:
        """Called when a receive ended within a head; servers bound the time from here on."""

    @staticmethod
    def _check_unfinished(buffer: bytes, start: int) -> None:
        # Three bytes of the blank line may be there already.
        if len(buffer) > HEAD_BYTES_MAX + 3:
            raise BadRequest(431, f"the head is over {HEAD_BYTES_MAX} bytes")
        # A head of bare LFs would never end in CR LF CR LF: say so now rather than wait. Only what
        # is new is looked at, from three bytes before it: many small receives cost no more.
        if buffer.find(b"\n\n", start) >= 0 or buffer.find(b"\n\r\n", start) >= 0:
            raise BadRequest(400, "a line does not end in CR LF")

    def _bad_chunk(self, reason: str) -> HttpError:
        """The error for a chunked body that is not one: the fault of whoever sends here."""
        return BadRequest(400, reason)

    def begin_body(self, length: int | None, chunked: bool) -> None:
        """Say how the body of the present message is framed; neither means: until the close."""
        if chunked:
            self._left = _CHUNKED
            self.trailers = b""
            self._decoder = ChunkedDecoder(self._bad_chunk, framing_trailers=not self._serves)
        else:
            self._left = _UNTIL_CLOSE if length is None else length

    def read_body_piece(self) -> bytes:
        """The next bytes of the body, b"" at its end. Parks.

        Raises `ConnectionLost` when the peer leaves before the end, the sender's fault for bad
        chunks: `BadRequest`, or `BadResponse` in a client.
        """
        left = self._left
        if left == 0:
            return b""
        if left > 0:
            data = self.buffer
            if data:
                self.buffer = data[left:]
                data = data[:left]
            else:
                data = self._recv(min(left, BODY_RECEIVE_BYTES))
                if not data:
                    raise ConnectionLost(f"the peer closed {left} bytes before the body's end")
            self._left = left - len(data)
            return data
        if left == _CHUNKED:
            return self._read_chunked_piece()
        data, self.buffer = self.buffer, b""
        if not data:
            data = self._recv(BODY_RECEIVE_BYTES)
            if not data:
                if self.stream.broken:
                    # A reset is no end (RFC 9112 section 8): who knows what was still to come.
                    raise ConnectionLost("the connection broke before the body's end")
                self._left = 0
        return data

    def take_body_piece(self) -> bytes:
        """What has arrived of the body already, b"" when nothing has. Does not park.

        Raises as `read_body_piece` for bad chunks.
        """
        data = self.buffer
        left = self._left
        if not data or not left:
            return b""
        if left > 0:
            self.buffer = data[left:]
            data = data[:left]
            self._left = left - len(data)
            return data
        self.buffer = b""
        decoder = self._decoder
        if decoder is None:
            return data
        pieces = decoder.feed(data)
        if decoder.finished:
            self._end_chunks(decoder)
        return b"".join(pieces)

    def _end_chunks(self, decoder: ChunkedDecoder) -> None:
        self.buffer = decoder.rest()
        self.trailers = decoder.trailers
        self._decoder = None
        self._left = 0

    def _read_chunked_piece(self) -> bytes:
        # What came in one receive is one piece, however small the sender made its chunks.
        decoder = self._decoder
        while decoder is not None:
            if decoder.finished:
                self._end_chunks(decoder)
                return b""
            data, self.buffer = self.buffer, b""
            if not data:
                data = self._recv(BODY_RECEIVE_BYTES)
                if not data:
                    raise ConnectionLost("the peer closed in the middle of a chunked body")
            pieces = decoder.feed(data)
            if pieces:
                return pieces[0] if len(pieces) == 1 else b"".join(pieces)
        return b""
