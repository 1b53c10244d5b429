"""Answer: from `start_response` to the last byte.

Place     wsgi, on a server connection; handler.py makes one per request.
Promise   the head goes out with the first bytes of the body, no sooner; the body is framed by the
          length that is known, else in chunks, else by the close. An application that sends more
          than its Content-Length is cut there, one that sends less ends the connection: the next
          answer never begins inside this one.
Not here  calling the application (handler.py); what fields may say (fields.py).

    start ──▶ head kept ──▶ first bytes ──▶ head + bytes in one send ──▶ more ──▶ end
                 └─ replaced by start(..., exc_info) while nothing was sent
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any, cast

from verdant.http import LAST_CHUNK, date_line
from verdant.net import Stream, TlsStream
from verdant.wsgi.fields import CLOSE, DATE, LENGTH, field_line, status_line
from verdant.wsgi.files import FileWrapper, sendable_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from verdant.http import Request, ServerConnection

__all__ = ["Answer"]

# Up to here a piece is copied behind its head or chunk size, which is cheaper than another send.
JOINED_BYTES_MAX = 64 * 1024
# Per call of sendfile: how far a client may lag before it counts as stalled.
FILE_BYTES = 1024 * 1024

_log = logging.getLogger("verdant.wsgi")


class Answer:
    """The answer to `request`. Sending parks while the client does not read."""

    __slots__ = (
        "_begun",
        "_chunked",
        "_connection",
        "_dated",
        "_fields",
        "_left",
        "_length",
        "_request",
        "_status_line",
        "bodiless",
        "body_bytes",
        "status",
    )

    def __init__(self, request: Request, connection: ServerConnection) -> None:
        self._request = request
        self._connection = connection
        # 0 until the application has said it.
        self.status = 0
        self.body_bytes = 0
        self._begun = False
        # Of the body: what is still to come of a known length; and whether it goes in chunks, or
        # there is none. Decided when the head goes out.
        self._left: int | None = None
        self._chunked = False
        self.bodiless = False

    def start(
        self,
        status: str,
        headers: list[tuple[str, str]],
        exc_info: Any = None,  # noqa: ANN401 - what sys.exc_info() gives
        /,
    ) -> Callable[[bytes], None]:
        """The `start_response` of PEP 3333. Returns its `write`. Does not park.

        Raises ValueError and TypeError for what cannot be sent, and what `exc_info` holds once the
        head has gone out.
        """
        if exc_info is not None:
            try:
                if self._begun:
                    raise exc_info[1].with_traceback(exc_info[2])
            finally:
                # A frame that holds its own exception is a cycle.
                exc_info = None
        elif self.status:
            raise AssertionError("start_response was called a second time without exc_info")
        code, line = status_line(status)
        length: int | None = None
        dated = False
        fields = []
        for pair in headers:
            kind, field, number = field_line(pair)
            if kind:
                if kind == LENGTH:
                    if length not in (None, number):
                        raise ValueError("two Content-Lengths are given")
                    length = number
                elif kind == DATE:
                    dated = True
                elif kind == CLOSE:
                    self._connection.closing = True
            fields.append(field)
        self._status_line = line
        self._fields = b"".join(fields)
        self._length = length
        self._dated = dated
        self.status = code
        return self.write

    def send(self, result: Iterable[bytes]) -> None:
        """Send all that the application returned, as it comes, and end. Parks."""
        kind = type(result)
        if kind is list or kind is tuple:
            pieces = cast("list[bytes]", result)
            if not self._begun:
                self._send_whole(pieces[0] if len(pieces) == 1 else b"".join(pieces))
                return
        elif isinstance(result, FileWrapper) and not self._begun:
            found = sendable_bytes(result.file)
            if found is not None:
                self._send_file(result.file, *found)
                return
        for piece in result:
            if piece:
                self.write(piece)
                if self.bodiless:
                    break
        self._end()

    def write(self, data: bytes) -> None:
        """Send `data` now, behind the head if that has not gone out. Parks."""
        if not self._begun:
            if not data:
                return
            head = self._begin(None)
            if self.bodiless:
                self._connection.send(head)
                return
        elif self.bodiless:
            return
        else:
            head = b""
        if self._left is not None:
            data = self._within_length(data)
        if self._chunked and data:
            head = b"%b%x\r\n" % (head, len(data))
            tail = b"\r\n"
        else:
            tail = b""
        self.body_bytes += len(data)
        self._send_pieces(head, data, tail)

    def _send_whole(self, body: bytes) -> None:
        # Nothing was sent before, nothing comes after.
        head = self._begin(len(body))
        if self.bodiless:
            self._connection.send(head)
            return
        left = self._left
        if left != len(body):
            body = self._within_length(body)
            self._send_pieces(head, body, b"")
            self.body_bytes = len(body)
            self._end()
            return
        self.body_bytes = left
        if left <= JOINED_BYTES_MAX:
            self._connection.send(head + body)
        else:
            self._send_pieces(head, body, b"")

    def _send_pieces(self, head: bytes, data: bytes, tail: bytes) -> None:
        send = self._connection.send
        if len(data) <= JOINED_BYTES_MAX:
            whole = b"".join((head, data, tail))
            if whole:
                send(whole)
            return
        if head:
            send(head)
        send(data)
        if tail:
            send(tail)

    def _send_file(self, file: Any, offset: int, available: int) -> None:  # noqa: ANN401 - any file
        connection = self._connection
        connection.send(self._begin(available))
        left = 0 if self.bodiless else min(self._left or 0, available)
        stream = connection.stream
        plain = isinstance(stream, Stream) and not isinstance(stream, TlsStream)
        while left > 0:
            want = min(left, FILE_BYTES)
            if plain:
                sent = connection.send_file(file, offset, want)
            else:
                block = file.read(want)
                connection.send(block)
                sent = len(block)
            if not sent:
                # The file became shorter meanwhile.
                break
            offset += sent
            left -= sent
            self.body_bytes += sent
            self._left = (self._left or 0) - sent
        self._end_framing()

    def _begin(self, whole: int | None) -> bytes:
        """The head. `whole`: the body's bytes if all of it is known; it goes out unchunked."""
        if not self.status:
            raise AssertionError("the application did not call start_response before its body")
        connection = self._connection
        request = self._request
        status = self.status
        length = self._length
        self._begun = True
        framing = b""
        if status in (204, 304):
            # RFC 9110 sections 8.6 and 15.3.5.
            self.bodiless = True
        else:
            self.bodiless = request.method == b"HEAD"
            if length is None:
                length = whole
            if length is not None:
                self._left = length
                framing = b"\r\nContent-Length: %d" % length
            elif not self.bodiless:
                if request.minor_version:
                    self._chunked = True
                    framing = b"\r\nTransfer-Encoding: chunked"
                else:
                    connection.closing = True
        if not connection.body_finished:
            connection.judge_unread_body()
        if connection.closing:
            framing += b"\r\nConnection: close"
        elif not request.minor_version:
            framing += b"\r\nConnection: keep-alive"
        connection.status = status
        date = b"" if self._dated else date_line(int(time.time()))
        return b"".join((self._status_line, date, self._fields, framing, b"\r\n\r\n"))

    @property
    def cut_is_hidden(self) -> bool:
        """True when the client would take an end of the connection for the end of the body."""
        return self._begun and not self.bodiless and not self._chunked and self._left is None

    def _within_length(self, data: bytes) -> bytes:
        left = cast("int", self._left)
        if len(data) > left:
            _log.error(
                "the application sent more than its Content-Length of %d bytes for %s: cut",
                self._length,
                self._request.target.decode("latin-1"),
            )
            data = data[:left]
        self._left = left - len(data)
        return data

    def _end(self) -> None:
        if not self._begun:
            self._connection.send(self._begin(0))
        self._end_framing()

    def _end_framing(self) -> None:
        if self.bodiless:
            return
        if self._chunked:
            self._connection.send(LAST_CHUNK)
        elif self._left:
            _log.error(
                "the application sent %d bytes less than its Content-Length for %s",
                self._left,
                self._request.target.decode("latin-1"),
            )
            self._connection.closing = True
