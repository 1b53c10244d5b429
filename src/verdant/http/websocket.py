"""WebSocket: messages both ways over one connection (RFC 6455), frames by wsproto.

Place     http, on a stream; a handler of HttpServer or a WSGI application ends up holding one.
Promise   a message arrives whole or not at all, and none is longer than `message_bytes_max` (close
          code 1009); text is UTF-8 or the connection ends (1007). Frames of two senders do not
          mix. `close` waits for the peer's word, `close_s_max` seconds at most.
Not here  the handshake (handshake.py); rooms, topics, reconnecting: applications differ.

    open ──▶ we said close ──▶ ended            whoever is in `receive` answers pings and closes
      └────▶ the peer did, we answer ──▶ ended

Pings are answered while somebody receives: one green thread that reads straight on is the usual
handler, and a second one behind its back would have to keep what nobody asked for.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Self, cast

from wsproto.connection import Connection, ConnectionState, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Ping, Pong, TextMessage

from verdant.core import Timeout, spawn
from verdant.errors import TimedOut, VerdantError
from verdant.sync import Event, Lock

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from types import TracebackType

    from wsproto.events import Event as FrameEvent
    from wsproto.extensions import Extension

    from verdant.http.reader import ByteStream

__all__ = ["WebSocket", "WebSocketClosed"]

# What chat, notices and most documents stay below; it is held in memory.
MESSAGE_BYTES_MAX = 1024 * 1024
# Below the minute after which common middle boxes forget a silent connection.
PING_S = 30.0
CLOSE_S_MAX = 10.0
# Small on purpose: a compressed receive may hold a thousand times its size.
RECEIVE_BYTES = 16 * 1024

NORMAL, GOING_AWAY, ABNORMAL, TOO_BIG = 1000, 1001, 1006, 1009


class WebSocketClosed(VerdantError):
    """Raised by `receive` and `send` once a WebSocket has ended.

    `close_code` says whose choice it was: 1000 and 1001 an orderly end, 1006 a connection that was
    cut, others a peer or a message that broke the rules. `reason` is the peer's text.
    """

    code = "http-websocket-closed"

    def __init__(self, close_code: int, reason: str) -> None:
        super().__init__(f"the WebSocket has ended ({close_code}{reason and f': {reason}'})")
        self.close_code = close_code
        self.reason = reason


class WebSocket:
    """One end of a WebSocket. Any number of green threads may send, and receive in turn.

    client: which end. received: bytes that came behind the handshake. message_bytes_max: longer
    messages end the connection. ping_s: seconds of silence after which a receiver asks for a sign
    of life; after as many more the connection counts as cut; None never asks. close_s_max: seconds
    to wait for the peer's half of a close.
    """

    def __init__(
        self,
        stream: ByteStream,
        *,
        client: bool = False,
        received: bytes = b"",
        extensions: Sequence[Extension] = (),
        subprotocol: str | None = None,
        message_bytes_max: int = MESSAGE_BYTES_MAX,
        ping_s: float | None = PING_S,
        close_s_max: float = CLOSE_S_MAX,
    ) -> None:
        self.subprotocol = subprotocol
        # None while it is open; then how it ended.
        self.close_code: int | None = None
        self.close_reason = ""
        self._stream = stream
        self._client = client
        kind = ConnectionType.CLIENT if client else ConnectionType.SERVER
        self._frames = Connection(kind, list(extensions), received)
        self._message_bytes_max = message_bytes_max
        self._ping_s = ping_s
        self._close_s_max = close_s_max
        self._receiving = Lock()
        self._sending = Lock()
        self._ended = Event()
        # Of the message that is coming in: kept here, so that a `Timeout` loses nothing.
        self._pieces: list[str | bytes] = []
        self._size = 0
        # The answer to the latest ping, while somebody else is sending.
        self._pong: Pong | None = None
        # Asked for a sign of life, nothing heard since.
        self._asked = False
        self._pings: dict[bytes, Event] = {}
        self._pings_sent = 0
        # The peer's own word on the end, until our answer to it is out.
        self._said: tuple[int, str] | None = None

    # Receiving.

    def receive(self) -> str | bytes:
        """The next message. Parks. Raises `WebSocketClosed` once there will be none."""
        with self._receiving:
            while True:
                if self.close_code is not None:
                    raise WebSocketClosed(self.close_code, self.close_reason)
                message = self._take(self._next_event())
                if message is not None:
                    return message

    def __iter__(self) -> Iterator[str | bytes]:
        """Every message until the end, whoever brings it about. Parks."""
        while True:
            try:
                message = self.receive()
            except WebSocketClosed:
                return
            yield message

    def _next_event(self) -> FrameEvent | None:
        """The next frame or piece of one; None when something changed and the caller must look."""
        event = next(self._frames.events(), None)
        if event is not None:
            return event
        data = self._receive_bytes()
        if data is None or self.close_code is not None:
            return None
        if not data:
            self._end(ABNORMAL, "")
            return None
        self._asked = False
        self._frames.receive_data(data)
        return None

    def _receive_bytes(self) -> bytes | None:
        """b"" for a peer that is gone; None for one that was silent, and has been asked."""
        try:
            with Timeout(self._ping_s, False):
                return self._stream.recv(RECEIVE_BYTES)
        except OSError as exc:
            if isinstance(exc, TimedOut):
                # A scope of our caller's.
                raise
            return b""
        if self._asked:
            self._stream.abort()
            return b""
        self._asked = True
        if self._frames.state is ConnectionState.OPEN and not self._sending.locked():
            # Else bytes are on their way, and their loss will tell.
            self._send_event(Ping())
        return None

    def _take(self, event: FrameEvent | None) -> str | bytes | None:
        if isinstance(event, TextMessage | BytesMessage):
            return self._take_piece(event)
        if isinstance(event, Ping):
            self._pong = event.response()
            if not self._sending.locked():
                with self._sending:
                    self._send_pong()
        elif isinstance(event, Pong):
            self._take_pong(bytes(event.payload))
        elif isinstance(event, CloseConnection):
            self._take_close(event)
        return None

    def _take_piece(self, event: TextMessage | BytesMessage) -> str | bytes | None:
        data = event.data if isinstance(event, TextMessage) else bytes(event.data)
        self._size += len(data.encode()) if isinstance(data, str) else len(data)
        if self._size > self._message_bytes_max:
            self._pieces.clear()
            self._fail(TOO_BIG, f"a message is over {self._message_bytes_max} bytes")
            return None
        self._pieces.append(data)
        if not event.message_finished:
            return None
        pieces, self._pieces, self._size = self._pieces, [], 0
        # wsproto sees to it that a message is of one kind.
        if isinstance(data, str):
            return "".join(cast("list[str]", pieces))
        return b"".join(cast("list[bytes]", pieces))

    def _take_pong(self, payload: bytes) -> None:
        if payload not in self._pings:
            return
        # A peer may answer the latest of several alone (RFC 6455 section 5.5.3).
        for sent, answered in list(self._pings.items()):
            del self._pings[sent]
            answered.set()
            if sent == payload:
                return

    def _take_close(self, event: CloseConnection) -> None:
        state = self._frames.state
        code, reason = int(event.code), event.reason or ""
        if state is ConnectionState.OPEN:
            # wsproto's verdict on what came: the peer broke the rules.
            self._fail(code, reason)
            return
        if state is ConnectionState.REMOTE_CLOSING:
            self._said = code, reason
            # Whoever is sending cannot go on now; the answer may have to wait for its last bytes.
            with Timeout(self._close_s_max, False), contextlib.suppress(WebSocketClosed):
                self._send_event(event.response())
        self._end(code, reason)

    def _fail(self, code: int, reason: str) -> None:
        """Tell the peer what it did wrong, and be done with it."""
        with (
            Timeout(self._close_s_max, False),
            contextlib.suppress(WebSocketClosed, ConnectionError),
        ):
            if self._frames.state is ConnectionState.OPEN:
                self._send_event(CloseConnection(code, reason))
            self._end(code, reason)
            # Closing with unread bytes would take the word away from the peer again.
            self._stream.send_eof()
            while self._stream.recv(RECEIVE_BYTES):
                pass
        self._end(code, reason)
        self._stream.abort()

    # Sending.

    def send(self, message: str | bytes | Iterable[str] | Iterable[bytes]) -> None:
        """Send a message: text, bytes, or an iterable of either, each item a fragment. Parks.

        Raises `WebSocketClosed` once it has ended, TypeError for anything else.
        """
        with self._sending:
            if isinstance(message, str | bytes | bytearray | memoryview):
                self._send_piece(message, True)
                return
            try:
                previous: str | bytes | None = None
                for piece in message:
                    if previous is not None:
                        self._send_piece(previous, False)
                    previous = piece
                if previous is not None:
                    self._send_piece(previous, True)
            except BaseException:
                # Half a message cannot be taken back, nor can the next one begin inside it.
                self._cut()
                raise

    def _send_piece(self, data: str | bytes | bytearray | memoryview, finished: bool) -> None:
        self._check_open()
        event: TextMessage | BytesMessage
        if isinstance(data, str):
            if not data.isascii():
                # Lone surrogates are an error here, before any of it is on its way.
                data.encode()
            event = TextMessage(data=data, message_finished=finished)
        else:
            event = BytesMessage(data=bytes(data), message_finished=finished)
        self._put(event)
        self._send_pong()

    def ping(self, payload: bytes | None = None) -> Event:
        """Ask for a sign of life. Parks while the peer does not read.

        payload: at most 125 bytes, made up when left out. Returns an event that is set when the
        answer has come, or the end: to somebody who receives, as pongs do not come by themselves.
        """
        if payload is None:
            self._pings_sent += 1
            payload = b"%d" % self._pings_sent
        answered = self._pings[payload] = Event()
        with self._sending:
            self._check_open()
            self._put(Ping(payload=payload))
        return answered

    def _check_open(self) -> None:
        if self.close_code is not None:
            raise WebSocketClosed(self.close_code, self.close_reason)
        if self._frames.state is not ConnectionState.OPEN:
            raise WebSocketClosed(NORMAL, "closing")

    def _send_event(self, event: FrameEvent) -> None:
        with self._sending:
            self._put(event)

    def _send_pong(self) -> None:
        # With `_sending` held.
        pong, self._pong = self._pong, None
        if pong is not None and self._frames.state is ConnectionState.OPEN:
            self._put(pong)

    def _put(self, event: FrameEvent) -> None:
        # With `_sending` held. The connection is cut if this is interrupted: a part of a frame is
        # on its way, and nothing that follows it would be understood.
        data = self._frames.send(event)
        try:
            self._stream.sendall(bytes(data))
        except BaseException as exc:
            self._cut()
            if isinstance(exc, OSError) and not isinstance(exc, TimedOut):
                raise WebSocketClosed(ABNORMAL, "") from exc
            raise

    # Ending.

    def close(self, code: int = NORMAL, reason: str = "") -> None:
        """Say that this is the end, and wait for the peer to say so too. Parks.

        Messages that nobody received are dropped. Cut after `close_s_max` seconds without an
        answer. Does nothing once it has ended.
        """
        if self.close_code is None:
            with Timeout(self._close_s_max, False):
                self._shake_hands(code, reason)
            if self.close_code is None:
                self._cut()
        if self._client:
            self._stream.close()

    def _shake_hands(self, code: int, reason: str) -> None:
        try:
            with self._sending:
                if self._frames.state is ConnectionState.OPEN:
                    self._put(CloseConnection(code, reason))
        except WebSocketClosed:
            return
        if self._receiving.locked():
            # Whoever receives will meet the answer.
            self._ended.wait()
            return
        with self._receiving:
            while self.close_code is None:
                event = self._next_event()
                if isinstance(event, CloseConnection):
                    self._take_close(event)

    def go_away(self) -> None:
        """Begin to close, because the server stops (1001). Does not park."""
        spawn(self.close, GOING_AWAY, "the server stops", name="websocket close")

    def _cut(self) -> None:
        self._end(ABNORMAL, "")
        self._stream.abort()

    def _end(self, code: int, reason: str) -> None:
        if self.close_code is None:
            if code == ABNORMAL and self._said is not None:
                code, reason = self._said
            self.close_code = code
            self.close_reason = reason
            self._ended.set()
            for answered in self._pings.values():
                answered.set()
            self._pings.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
