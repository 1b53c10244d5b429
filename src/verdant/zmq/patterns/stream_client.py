"""Stream client: iterate over an answer of many chunks, at your own pace.

Place     zmq/patterns, on green ZeroMQ.
Promise   at most a window of chunks waits here; a chunk that is missing, or a producer that is not
          heard of for `SILENCE_S_MAX`, is an error, never a short answer. Leaving the loop early
          and closing the stream ends the producer.

    with client.open(b"all of it", window=16) as chunks:
        for chunk in chunks:
            ...
"""

from __future__ import annotations

import contextlib
import itertools
import logging
from collections import deque
from typing import TYPE_CHECKING, Self

import zmq

from verdant.core import Timeout, monotonic, sleep, spawn
from verdant.errors import Closed
from verdant.sync import Event
from verdant.zmq.errors import BadFrames, PeerSilent, StreamBroken
from verdant.zmq.patterns.credit import Window
from verdant.zmq.patterns.sockets import connected, until_closed
from verdant.zmq.patterns.stream_frames import (
    CANCEL,
    CHUNK,
    CHUNK_BYTES_MAX,
    END,
    FAILED,
    GRANT,
    OPEN,
    StreamMessage,
    decode_stream,
    encode_stream,
)
from verdant.zmq.patterns.stream_server import BEAT_S, SILENCE_S_MAX

if TYPE_CHECKING:
    from types import TracebackType

    from verdant.errors import VerdantError
    from verdant.zmq.context import Context
    from verdant.zmq.security import ClientSecurity

__all__ = ["WINDOW_DEFAULT", "Stream", "StreamClient"]

# Hides a millisecond's round trip at some ten thousand chunks a second.
WINDOW_DEFAULT = 16

_log = logging.getLogger("verdant.zmq")


class Stream:
    """One answer; an iterator over its chunks. Made by `StreamClient.open`."""

    def __init__(self, client: StreamClient, number: int, window: int) -> None:
        self._client = client
        self._number = number
        self._window = Window(window)
        self._chunks: deque[bytes] = deque()
        self._news = Event()
        self._over = False
        self._failure: VerdantError | None = None
        self._heard_at = monotonic()

    @property
    def waiting(self) -> int:
        """Chunks that came and were not taken yet: a window at most."""
        return len(self._chunks)

    def __iter__(self) -> Self:
        """The stream itself."""
        return self

    def __next__(self) -> bytes:
        """The next chunk. Parks. Raises `StreamBroken`, `PeerSilent`, StopIteration at the end."""
        while not self._chunks:
            if self._failure is not None:
                raise self._failure
            if self._over:
                raise StopIteration
            self._news.clear()
            # Set by the client's thread: a chunk, the end, or a failure.
            self._news.wait()
        chunk = self._chunks.popleft()
        grant = self._window.take()
        if grant and not self._over:
            self._client._send(StreamMessage(GRANT, self._number, grant))  # noqa: SLF001 - one part
        return chunk

    def close(self) -> None:
        """Take no more: what waits is dropped, the producer ends. Parks for a moment at most."""
        self._chunks.clear()
        if not self._over:
            self._fail(Closed("this stream was closed"))
            # A producer that cannot be told hears our silence.
            with contextlib.suppress(zmq.ZMQError):
                self._client._send_now(StreamMessage(CANCEL, self._number))  # noqa: SLF001 - one part

    def __enter__(self) -> Self:
        """The stream itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close it."""
        self.close()

    def _fail(self, failure: VerdantError | None) -> None:
        self._over = True
        self._failure = failure
        self._client._streams.pop(self._number, None)  # noqa: SLF001 - one part
        self._news.set()

    def _take(self, message: StreamMessage) -> None:
        self._heard_at = monotonic()
        if message.kind == CHUNK:
            self._window.arrive(message.number)
            self._chunks.append(message.data)
            self._news.set()
        elif message.kind == END:
            self._fail(None)
        elif message.kind == FAILED:
            text = message.data.decode("utf-8", "backslashreplace")
            self._fail(StreamBroken(f"a streaming answer broke off: {text}"))


class StreamClient:
    """Asks the stream server at `endpoint`; any number of streams at once.

    `security`: whose key the server must have, and ours; plain text without.
    """

    def __init__(
        self, context: Context, endpoint: str, *, security: ClientSecurity | None = None
    ) -> None:
        self.endpoint = endpoint
        self.rejected = 0
        self._socket = connected(context, zmq.DEALER, endpoint, security, CHUNK_BYTES_MAX)
        self._streams: dict[int, Stream] = {}
        self._numbers = itertools.count(1)
        self._threads = [
            spawn(until_closed, self._receive, name="stream client"),
            spawn(until_closed, self._beat, name="stream client's beat"),
        ]

    def open(self, request: bytes, window: int = WINDOW_DEFAULT) -> Stream:
        """Ask; returns the answer to iterate over. Parks while the socket's queue is full.

        Raises `PeerSilent` when it stays full.
        `window`: chunks that may come before they are taken, 1 to `CREDIT_MAX`.
        """
        number = next(self._numbers)
        stream = Stream(self, number, window)
        self._streams[number] = stream
        try:
            self._send(StreamMessage(OPEN, number, window, request))
        except BaseException:
            self._streams.pop(number, None)
            raise
        return stream

    def close(self) -> None:
        """Close the streams, then the socket. Parks for a moment."""
        for stream in list(self._streams.values()):
            stream.close()
        for thread in self._threads:
            thread.cancel()
        for thread in self._threads:
            thread.join()
        # The cancellations get a moment to leave.
        self._socket.close(100)

    def _send(self, message: StreamMessage) -> None:
        # There is nobody to queue for while a server refuses our handshake.
        with Timeout(
            SILENCE_S_MAX,
            PeerSilent(f"{self.endpoint} takes nothing: is it up, and our key allowed?"),
        ):
            self._socket.send_multipart(encode_stream(message))

    def _send_now(self, message: StreamMessage) -> None:
        self._socket.send_multipart(encode_stream(message), zmq.NOBLOCK)

    def _receive(self) -> None:
        while True:
            frames = self._socket.recv_multipart()
            stream = None
            try:
                message = decode_stream(frames, to_producer=False)
                stream = self._streams.get(message.stream)
                # None: it was closed here while this was on its way.
                if stream is not None:
                    stream._take(message)  # noqa: SLF001 - one part
            except BadFrames as exc:
                self.rejected += 1
                _log.debug("%s sent what is no part of a stream: %s", self.endpoint, exc)
                if stream is not None:
                    stream._fail(StreamBroken(f"{self.endpoint} broke its stream: {exc}"))  # noqa: SLF001

    def _beat(self) -> None:
        while True:
            sleep(BEAT_S)
            oldest = monotonic() - SILENCE_S_MAX
            for number, stream in list(self._streams.items()):
                if stream._heard_at < oldest:  # noqa: SLF001 - one part
                    stream._fail(  # noqa: SLF001
                        PeerSilent(
                            f"{self.endpoint} was not heard for {SILENCE_S_MAX:g} s: ask again, or "
                            "ask another"
                        )
                    )
                    continue
                try:
                    self._send_now(StreamMessage(GRANT, number, 0))
                except zmq.Again:
                    # Its queue is full: nobody takes anything there, and silence will tell.
                    continue
