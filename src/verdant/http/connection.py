"""Connection: the server's end of one HTTP/1.1 connection.

Place     http, on the reader; server.py runs a handler around it.
Promise   every request gets one answer, in order; a body that nobody read is drained, or the
          connection ends after the answer. `100 Continue` is sent when the body is first wanted.
Not here  what to answer.
"""

from __future__ import annotations

import time
from email.utils import formatdate
from typing import TYPE_CHECKING

from verdant.http.errors import BadRequest, ConnectionLost
from verdant.http.parser import parse_request_head
from verdant.http.reader import ByteStream, MessageReader
from verdant.http.serializer import LAST_CHUNK, chunk, response_head
from verdant.net import Stream

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import BinaryIO

    from verdant.http.deadlines import Deadlines
    from verdant.http.headers import Field
    from verdant.http.messages import Request, Response

__all__ = ["ServerConnection"]

# Unread body that is still cheaper to read away than a new connection is to make.
DRAIN_BYTES_MAX = 256 * 1024

# A connection between requests, and one in the middle of a head or body: nginx's figures.
IDLE_S_MAX = 75.0
STALLED_S_MAX = 60.0
# From a head's first byte to its last: slower than that is an attack.
HEAD_S_MAX = 10.0


# Sent at once, at the most: a client that takes this much within STALLED_S_MAX is slow, not gone.
SEND_BYTES = 256 * 1024

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class _Clock:
    """The Date field, formatted once a second."""

    second = 0
    text = b""


def http_date() -> bytes:
    """The present time as a Date field's value (RFC 9110 section 5.6.7)."""
    second = int(time.time())
    if second != _Clock.second:
        _Clock.text = formatdate(second, usegmt=True).encode("ascii")
        _Clock.second = second
    return _Clock.text


class ServerConnection(MessageReader):
    """One client's connection. `request` is the one being answered.

    closing: no other request will be answered after this one. idle: between requests. lost: the
    client is gone, which is no fault of whoever answers it. taken_over: what answers the present
    request has written to the stream by itself. continue_elsewhere: somebody else answers the
    client's `Expect: 100-continue`. when_stopping: called, once, when the server begins to stop;
    must not park. body_fault: what was wrong with the present request's body. memory: for what a
    handler wants to keep from one request to the next.
    """

    __slots__ = (
        "_body_waited_s",
        "_continue_due",
        "_deadlines",
        "_head_bytes",
        "_sending",
        "body_bytes_max",
        "body_bytes_per_s_min",
        "body_fault",
        "bytes_received",
        "bytes_sent",
        "closing",
        "continue_elsewhere",
        "head_s_max",
        "idle",
        "idle_s_max",
        "lost",
        "memory",
        "request",
        "stalled_s_max",
        "status",
        "taken_over",
        "timed_out",
        "waiting_s_max",
        "waiting_since",
        "when_stopping",
    )

    _serves = True

    # body_bytes_max: of a request; more is refused with 413. body_bytes_per_s_min: how much a body
    # must bring, on the average, beyond the first `stalled_s_max` seconds of waiting; 0 is any.
    def __init__(
        self,
        stream: ByteStream,
        deadlines: Deadlines | None = None,
        *,
        idle_s_max: float = IDLE_S_MAX,
        head_s_max: float = HEAD_S_MAX,
        stalled_s_max: float = STALLED_S_MAX,
        body_bytes_max: int | None = None,
        body_bytes_per_s_min: int = 0,
    ) -> None:
        super().__init__(stream)
        self.request: Request | None = None
        self.closing = False
        self.continue_elsewhere = False
        self.idle = False
        self.lost = False
        self.taken_over = False
        self.timed_out = False
        self.when_stopping: Callable[[], object] | None = None
        self.memory: object = None
        # Of the present exchange; heads count.
        self.status = 0
        self.bytes_sent = 0
        self.bytes_received = 0
        self.idle_s_max = idle_s_max
        self.head_s_max = head_s_max
        self.stalled_s_max = stalled_s_max
        self.body_bytes_max = body_bytes_max
        self.body_bytes_per_s_min = body_bytes_per_s_min
        self.waiting_since = 0.0
        self.waiting_s_max = idle_s_max
        self._deadlines = deadlines
        self.body_fault: BadRequest | None = None
        self._body_waited_s = 0.0
        self._head_bytes = 0
        self._continue_due = False
        self._sending = False

    def read_request(self) -> Request | None:
        """The next request's head, or None when the client is done. Parks.

        Raises `BadRequest`; then the connection can only be refused.
        """
        deadlines = self._deadlines
        if deadlines is not None:
            self.waiting_s_max = self.idle_s_max
            self.waiting_since = deadlines.now
        self.status = 0
        self.bytes_sent = 0
        self.idle = True
        try:
            head = self.read_head()
        except ConnectionLost:
            if self.timed_out:
                raise BadRequest(408, "the head did not come in time") from None
            return None
        finally:
            self.idle = False
        self.waiting_since = 0.0
        if head is None:
            return None
        self.bytes_received = self._head_bytes = len(head) + 4
        request = self.request = parse_request_head(head)
        if request.has_body:
            self.begin_body(request.content_length, request.chunked)
            self._body_waited_s = 0.0
            self.body_fault = None
            if self.body_bytes_max is not None:
                self._check_body_size(request.content_length or 0, self.body_bytes_max)
            self._continue_due = request.expect_continue
            self.continue_elsewhere = False
        else:
            self._continue_due = False
        if not request.keep_alive:
            self.closing = True
        return request

    @staticmethod
    def _check_body_size(size: int, bytes_max: int) -> None:
        if size > bytes_max:
            raise BadRequest(413, f"the body is over {bytes_max} bytes")

    def _head_is_partial(self) -> None:
        self.idle = False
        if self._deadlines is not None and self.waiting_s_max != self.head_s_max:
            self.waiting_s_max = self.head_s_max
            self.waiting_since = self._deadlines.now

    def read_piece(self) -> bytes:
        """The next bytes of the request's body, b"" at its end. Parks.

        Raises `BadRequest` (400, 408, 413) and `ConnectionLost`.
        """
        if self.body_fault is not None:
            # Nothing behind a bad chunk has a meaning; whoever asks again hears the same.
            raise self.body_fault
        try:
            return self._read_piece()
        except BadRequest as exc:
            self.body_fault = exc
            self.closing = True
            raise

    def _read_piece(self) -> bytes:
        if self._continue_due and not self.continue_elsewhere:
            self._continue_due = False
            if not self.buffer:
                self.stream.sendall(CONTINUE)
        deadlines = self._deadlines
        if deadlines is not None:
            self.waiting_s_max = self._patience_s()
            self.waiting_since = deadlines.now
        try:
            piece = self.read_body_piece()
        except ConnectionLost:
            if self.timed_out:
                raise BadRequest(408, "the body did not come in time") from None
            self.lost = True
            raise
        if deadlines is not None and self.waiting_since:
            self._body_waited_s += deadlines.now - self.waiting_since
        self.waiting_since = 0.0
        # The client sends, so it heard that it may, or does not care.
        self._continue_due = False
        self.bytes_received += len(piece)
        if self.body_bytes_max is not None:
            self._check_body_size(self.bytes_received - self._head_bytes, self.body_bytes_max)
        return piece

    def _patience_s(self) -> float:
        """How long the next piece of a body may take.

        A client that sends a byte now and then makes progress, and would hold its place for ever.
        So all its waits together are bounded too, by what came: only the time in which we waited
        for it counts, since a backend that reads slowly is not its fault.
        """
        rate = self.body_bytes_per_s_min
        if not rate:
            return self.stalled_s_max
        earned_s = (self.bytes_received - self._head_bytes) / rate - self._body_waited_s
        return self.stalled_s_max + min(0.0, earned_s)

    def read_body(self, bytes_max: int) -> bytes:
        """The whole body. Parks. Raises `BadRequest` (413) when it is over `bytes_max`."""
        request = self.request
        if request is not None and (request.content_length or 0) > bytes_max:
            raise BadRequest(413, f"the body is over {bytes_max} bytes")
        pieces = []
        size = 0
        while piece := self.read_piece():
            size += len(piece)
            if size > bytes_max:
                raise BadRequest(413, f"the body is over {bytes_max} bytes")
            pieces.append(piece)
        return b"".join(pieces)

    def send(self, data: bytes) -> None:
        """Send raw bytes of the present answer. Parks while the client does not read.

        Raises OSError for a client that is gone, or took too little for too long.
        """
        deadlines = self._deadlines
        if deadlines is None:
            self.stream.sendall(data)
            self.bytes_sent += len(data)
            return
        self._sending = True
        self.waiting_s_max = self.stalled_s_max
        self.waiting_since = deadlines.now
        try:
            if len(data) <= SEND_BYTES:
                self.stream.sendall(data)
                self.bytes_sent += len(data)
            else:
                for start in range(0, len(data), SEND_BYTES):
                    self.waiting_since = deadlines.now
                    piece = data[start : start + SEND_BYTES]
                    self.stream.sendall(piece)
                    self.bytes_sent += len(piece)
        except BaseException:
            # The client is gone, or our caller was interrupted with some of it sent: either way
            # nothing that follows would be understood.
            self.lost = True
            self._sending = False
            self.waiting_since = 0.0
            raise
        self._sending = False
        self.waiting_since = 0.0

    def send_file(self, file: BinaryIO, offset: int, count: int) -> int:
        """Send `count` bytes of a regular file by sendfile(2), as `send` does; 0 at its end. Parks.

        For a plain stream on a socket. `count` is what may pass without progress being noted.
        """
        stream = self.stream
        assert isinstance(stream, Stream)
        self._sending = True
        self.waiting_s_max = self.stalled_s_max
        if self._deadlines is not None:
            self.waiting_since = self._deadlines.now
        try:
            sent = stream.socket.sendfile(file, offset, count)
        except BaseException:
            self.lost = True
            raise
        finally:
            self._sending = False
            self.waiting_since = 0.0
        self.bytes_sent += sent
        return sent

    def respond(self, response: Response) -> None:
        """Send a whole answer. Parks while the client does not read."""
        body = response.read()
        fields = self._framed(response.headers)
        status = response.status
        bodiless = status < 200 or status in (204, 304)
        if not bodiless:
            fields.append((b"Content-Length", b"%d" % len(body)))
        data = response_head(status, fields)
        if not bodiless and not self._is_head():
            data += body
        self.status = status
        self.send(data)

    def respond_streaming(
        self, status: int, headers: Iterable[Field], body: Iterable[bytes]
    ) -> None:
        """Send an answer whose length is not known, chunked (HTTP/1.0: until the close). Parks."""
        request = self.request
        chunked = request is not None and request.minor_version == 1
        if not chunked:
            self.closing = True
        fields = self._framed(headers)
        if chunked:
            fields.append((b"Transfer-Encoding", b"chunked"))
        self.status = status
        self.send(response_head(status, fields))
        if self._is_head():
            return
        for piece in body:
            if piece:
                self.send(chunk(piece) if chunked else piece)
        if chunked:
            self.send(LAST_CHUNK)

    def _is_head(self) -> bool:
        return self.request is not None and self.request.method == b"HEAD"

    def _framed(self, headers: Iterable[Field]) -> list[Field]:
        fields = [(b"Date", http_date()), *headers]
        self.judge_unread_body()
        line = self.connection_line()
        if line:
            fields.append((b"Connection", line))
        return fields

    def connection_line(self) -> bytes:
        """The value of the Connection field that this answer needs; b"" when it needs none."""
        if self.closing:
            return b"close"
        request = self.request
        return b"keep-alive" if request is not None and not request.minor_version else b""

    def judge_unread_body(self) -> None:
        """Before an answer's head: decide that it is the last one if the body is in the way."""
        if self._continue_due or (not self.body_finished and self._too_much_left()):
            # The body was not asked for, or is too long to read away.
            self.closing = True

    def _too_much_left(self) -> bool:
        request = self.request
        return request is not None and (request.content_length or 0) > DRAIN_BYTES_MAX

    def finish(self) -> bool:
        """End the exchange after its answer: read the rest of the body away. Parks.

        Returns True when the connection may carry another request.
        """
        if not self.body_finished and not self.closing:
            left = DRAIN_BYTES_MAX
            while left > 0 and (piece := self.read_piece()):
                left -= len(piece)
        if self.closing or not self.body_finished:
            self._linger()
            return False
        return True

    def refuse(self, error: BadRequest) -> None:
        """Answer a request that cannot be served, and let go of the connection. Parks."""
        self.closing = True
        self._continue_due = False
        self.request = None
        body = f"{error}\n".encode()
        fields = [
            (b"Date", http_date()),
            (b"Content-Type", b"text/plain; charset=utf-8"),
            (b"Content-Length", b"%d" % len(body)),
            (b"Connection", b"close"),
        ]
        self.status = error.status
        self.send(response_head(error.status, fields) + body)
        self._linger()

    def _linger(self) -> None:
        # Closing with unread bytes makes the kernel send RST, which can overtake the answer and
        # take it away from the client (RFC 9112 section 9.6). So: finish sending, read a little.
        self.stream.send_eof()
        if self.body_finished and not self.buffer and self.request is not None:
            return
        if self._deadlines is not None:
            self.waiting_s_max = min(5.0, self.stalled_s_max)
            self.waiting_since = self._deadlines.now
        left = DRAIN_BYTES_MAX
        while left > 0 and (data := self._recv(left)):
            left -= len(data)
        self.waiting_since = 0.0

    def wait_is_over(self) -> None:
        """Called by the sweeper: whoever waits on this connection sees its end."""
        self.timed_out = True
        if self._sending:
            # A client that does not read.
            if isinstance(self.stream, Stream):
                self.stream.reset_at_close()
            self.stream.abort()
        else:
            self.stop_waiting()

    def stop_waiting(self) -> None:
        """End receiving: what has arrived is the last. Does not park."""
        abort_reading = getattr(self.stream, "abort_reading", self.stream.abort)
        abort_reading()
