"""Stream server: answers of many chunks, produced no faster than they are taken.

Place     zmq/patterns, on green ZeroMQ.
Promise   a producer runs only while its consumer granted it chunks; it ends, its `finally` run,
          when the consumer cancels, leaves, or is not heard of for `SILENCE_S_MAX`. What one
          producer raises reaches its own consumer alone. Strangers' frames are counted.
Not here  repeating: an answer that broke is asked for again by whoever wants it.

One green thread per stream: the producer is an ordinary generator that parks when out of credit.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import zmq

from verdant.core import GreenThread, monotonic, sleep, spawn
from verdant.sync import Event
from verdant.zmq.errors import BadFrames
from verdant.zmq.frames import REQUEST_BYTES_MAX
from verdant.zmq.patterns.credit import Credit
from verdant.zmq.patterns.sockets import bound, endpoint_of, until_closed
from verdant.zmq.patterns.stream_frames import (
    CANCEL,
    CHUNK,
    CHUNK_BYTES_MAX,
    END,
    FAILED,
    GRANT,
    HERE,
    OPEN,
    StreamMessage,
    decode_stream,
    encode_stream,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from verdant.zmq.context import Context
    from verdant.zmq.security import PortSecurity

__all__ = ["BEAT_S", "SILENCE_S_MAX", "StreamServer"]

# A consumer that thinks about a chunk still gives a sign of life this often.
BEAT_S = 2.0
# Five beats lost: it is gone, or the way to it.
SILENCE_S_MAX = 10.0
# Streams of all consumers; each is a green thread and what its generator holds.
STREAMS_MAX = 1000

_log = logging.getLogger("verdant.zmq")

_Key = tuple[bytes, int]


class _Stream:
    __slots__ = ("credit", "granted", "heard_at", "thread")

    def __init__(self, credit: Credit) -> None:
        self.credit = credit
        self.granted = Event()
        self.heard_at = monotonic()
        self.thread: GreenThread[None] | None = None


class StreamServer:
    """Answers requests at `endpoint` (bound here) with the chunks of `produce(request)`.

    A chunk has at most `CHUNK_BYTES_MAX` bytes. `security`: keys for the port; plain text without.
    """

    def __init__(
        self,
        context: Context,
        endpoint: str,
        produce: Callable[[bytes], Iterable[bytes]],
        *,
        security: PortSecurity = None,
    ) -> None:
        self._produce = produce
        # Mandatory: a consumer that left is an error at the next chunk, not silence. No high-water
        # mark: what waits for a consumer is what it granted, and a full queue would drop chunks.
        options = {zmq.ROUTER_MANDATORY: 1, zmq.SNDHWM: 0}
        self._socket = bound(context, zmq.ROUTER, endpoint, security, REQUEST_BYTES_MAX, options)
        self.endpoint = endpoint_of(self._socket)
        self._streams: dict[_Key, _Stream] = {}
        self._threads: list[GreenThread[None]] = []
        self.rejected = 0

    @property
    def open_streams(self) -> int:
        """How many producers there are now."""
        return len(self._streams)

    def start(self) -> None:
        """Begin to answer. Does not park."""
        self._threads = [
            spawn(until_closed, self._receive, name="stream server"),
            spawn(self._reap, name="stream server's reaper"),
        ]

    def close(self) -> None:
        """End all producers and close the socket. Parks for a moment."""
        producers = [entry.thread for entry in self._streams.values() if entry.thread is not None]
        for thread in (*self._threads, *producers):
            thread.cancel()
        for thread in (*self._threads, *producers):
            thread.join()
        self._socket.close(0)

    def _receive(self) -> None:
        while True:
            sender, *frames = self._socket.recv_multipart()
            try:
                self._take(sender, decode_stream(frames, to_producer=True))
            except BadFrames as exc:
                self.rejected += 1
                _log.debug("a consumer's message cannot be used: %s", exc)

    def _take(self, sender: bytes, message: StreamMessage) -> None:
        key = (sender, message.stream)
        entry = self._streams.get(key)
        if message.kind == OPEN:
            self._open(key, entry, message)
        elif entry is None:
            # It ended; for a grant that crossed our last word this is one word more, ignored.
            if message.kind == GRANT:
                self._say(key, FAILED, b"there is no such stream, or none any more")
        elif message.kind == CANCEL:
            self._end(key, entry)
        else:
            entry.heard_at = monotonic()
            if message.number == 0:
                self._say(key, HERE)
                return
            try:
                entry.credit.grant(message.number)
            except BadFrames:
                self._end(key, entry)
                raise
            entry.granted.set()

    def _open(self, key: _Key, entry: _Stream | None, message: StreamMessage) -> None:
        if entry is not None:
            raise BadFrames("a stream is opened that is open")
        credit = Credit(0)
        credit.grant(message.number)
        if len(self._streams) >= STREAMS_MAX:
            self._say(key, FAILED, b"busy: as many streams as this server has")
            return
        entry = self._streams[key] = _Stream(credit)
        entry.thread = spawn(self._run, key, entry, message.data, name="stream producer")

    def _end(self, key: _Key, entry: _Stream) -> None:
        # Forgotten here too: a thread that has not begun yet ends without its `finally`.
        self._forget(key, entry)
        if entry.thread is not None:
            entry.thread.cancel()

    def _forget(self, key: _Key, entry: _Stream) -> None:
        if self._streams.get(key) is entry:
            del self._streams[key]

    def _run(self, key: _Key, entry: _Stream, request: bytes) -> None:
        try:
            self._send_all(key, entry, request)
        except zmq.ZMQError as exc:
            _log.debug("a consumer left: %s", exc)
        except Exception as exc:  # noqa: BLE001 - the consumer gets a sentence, the log the traceback
            _log.exception("a stream's producer failed")
            self._say(key, FAILED, f"the producer failed ({exc})".encode()[:1000])
        finally:
            self._forget(key, entry)

    def _send_all(self, key: _Key, entry: _Stream, request: bytes) -> None:
        produced = self._produce(request)
        chunks = iter(produced)
        try:
            number = 0
            while True:
                # Before the next one is made: nothing is produced that nobody asked for.
                while entry.credit.left == 0:
                    entry.granted.clear()
                    # Set by _take(); the reaper ends us when it never is.
                    entry.granted.wait()
                try:
                    chunk = next(chunks)
                except StopIteration:
                    break
                if len(chunk) > CHUNK_BYTES_MAX:
                    raise ValueError(f"a chunk of {len(chunk)} bytes is over {CHUNK_BYTES_MAX}")
                entry.credit.spend()
                message = StreamMessage(CHUNK, key[1], number, bytes(chunk))
                self._socket.send_multipart([key[0], *encode_stream(message)])
                number += 1
            self._say(key, END)
        finally:
            # Its `finally` runs now, not when the collector finds it.
            close = getattr(chunks, "close", None)
            if close is not None:
                close()

    def _say(self, key: _Key, kind: int, text: bytes = b"") -> None:
        try:
            message = StreamMessage(kind, key[1], 0, text)
            self._socket.send_multipart([key[0], *encode_stream(message)])
        except zmq.ZMQError as exc:
            _log.debug("a consumer left: %s", exc)

    def _reap(self) -> None:
        while True:
            sleep(BEAT_S)
            oldest = monotonic() - SILENCE_S_MAX
            for key, entry in list(self._streams.items()):
                if entry.heard_at < oldest:
                    self._end(key, entry)
