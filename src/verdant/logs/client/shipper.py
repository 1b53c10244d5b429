"""Shipper: batches to one or more of several servers, until as many acknowledge.

Place     logs/client, on green ZeroMQ.
Promise   a batch leaves the spool when `copies` servers have it on disk. No word within
          `ACK_S_MAX`, or "busy": the same batch goes to the next server. The servers know a batch
          by its identity, and readers show one once, so sending again is safe.
Not here  what waits and what is dropped (spool.py, diskspool.py).

One DEALER per server, so that which server a batch went to is known.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from verdant.core import GreenThread, monotonic, sleep, spawn
from verdant.logs.codec import Batch, decode_ack, encode_batch
from verdant.logs.errors import BadBatch
from verdant.sync import Event
from verdant.zmq import (
    DEALER,
    LINGER,
    MAXMSGSIZE,
    NOBLOCK,
    RECONNECT_IVL_MAX,
    SNDHWM,
    Again,
    Context,
    Socket,
    ZMQError,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from verdant.logs.client.diskspool import DiskSpool
    from verdant.logs.client.spool import Spool
    from verdant.zmq.security import ClientSecurity

__all__ = ["Shipper"]

# How old a line gets before its batch goes; what "within a second" leaves room for.
BATCH_AGE_S = 0.1
# A server answers after an fsync, some milliseconds; this is a dead one.
ACK_S_MAX = 2.0
# Batches on their way at once: enough to keep a group commit busy.
IN_FLIGHT_MAX = 8
# When a batch was sent that goes to the next server on the next turn.
OVERDUE = float("-inf")
# A server that comes back is found again within this.
RECONNECT_MS_MAX = 1000
# An acknowledgement, its reason in words included; a server that sends more is none.
ACK_BYTES_MAX = 64 * 1024

_log = logging.getLogger("verdant.logs")


class _InFlight:
    __slots__ = ("acknowledged", "batch", "sent_at")

    def __init__(self, batch: Batch) -> None:
        self.batch = batch
        # Servers that were asked and have not answered, by when they were asked.
        self.sent_at: dict[int, float] = {}
        self.acknowledged: set[int] = set()


class Shipper:
    """Ships `spool` to the collect endpoints `servers`.

    `security`: by endpoint, whose key the server must have and which one we show it; plain text to
    the others. copies: how many servers must have a batch before it is forgotten. Raises ValueError
    when there are not as many.
    """

    def __init__(
        self,
        spool: Spool | DiskSpool,
        servers: Sequence[str],
        security: Mapping[str, ClientSecurity] | None = None,
        *,
        copies: int = 1,
    ) -> None:
        if not 1 <= copies <= len(servers):
            raise ValueError(
                f"{copies} copies need as many log servers and at least one; "
                f"there are {len(servers)}"
            )
        self._copies = copies
        self.spool = spool
        self.refused = 0
        self._context = Context()
        self._sockets: list[Socket] = []
        for endpoint in servers:
            socket = self._context.socket(DEALER)
            socket.setsockopt(LINGER, 0)
            # Little is queued for a server that is away: it would go out late and twice.
            socket.setsockopt(SNDHWM, IN_FLIGHT_MAX)
            socket.setsockopt(RECONNECT_IVL_MAX, RECONNECT_MS_MAX)
            socket.setsockopt(MAXMSGSIZE, ACK_BYTES_MAX)
            if security is not None and endpoint in security:
                security[endpoint].apply(socket)
            socket.connect(endpoint)
            self._sockets.append(socket)
        self._preferred = 0
        self._room = Event()
        self._in_flight: dict[int, _InFlight] = {}
        self._threads: list[GreenThread[None]] = []

    def start(self) -> None:
        """Begin to ship. Does not park."""
        self._threads = [
            spawn(self._listen, index, name=f"log acknowledgements {index}")
            for index in range(len(self._sockets))
        ]
        self._threads.append(spawn(self._ship, name="log shipper"))

    def flush(self, timeout_s: float) -> bool:
        """Wait until everything is acknowledged. Parks. Returns False after `timeout_s` s."""
        deadline = monotonic() + timeout_s
        while not self.spool.empty:
            if monotonic() >= deadline:
                return False
            sleep(BATCH_AGE_S / 10)
        return True

    def stop(self, flush_s: float = 0.0) -> bool:
        """Flush for at most `flush_s` seconds, then end. Parks. Returns what `flush` does."""
        flushed = self.flush(flush_s) if flush_s > 0 else self.spool.empty
        for thread in self._threads:
            thread.cancel()
        for thread in self._threads:
            thread.join()
        self._context.destroy(linger=0)
        return flushed

    def _ship(self) -> None:
        while True:
            self._resend_overdue()
            self._room.clear()
            while len(self._in_flight) < IN_FLIGHT_MAX:
                batch = self.spool.take()
                if batch is None:
                    break
                entry = self._in_flight[batch.id.seq] = _InFlight(batch)
                for step in range(self._copies):
                    self._send(entry, (self._preferred + step) % len(self._sockets))
            if len(self._in_flight) < IN_FLIGHT_MAX:
                # Lines gather meanwhile.
                sleep(BATCH_AGE_S)
            else:
                self._room.wait(BATCH_AGE_S)

    def _send(self, entry: _InFlight, server: int) -> None:
        entry.sent_at[server] = monotonic()
        try:
            # Never waiting: a server that is away must not hold up the others.
            self._sockets[server].send_multipart(encode_batch(entry.batch), flags=NOBLOCK)
        except (Again, ZMQError):
            # Overdue at once, so it goes to the next server on the next turn.
            entry.sent_at[server] = OVERDUE

    def _resend_overdue(self) -> None:
        now = monotonic()
        for entry in list(self._in_flight.values()):
            for server, sent_at in list(entry.sent_at.items()):
                if now - sent_at < ACK_S_MAX:
                    continue
                del entry.sent_at[server]
                if self._preferred == server:
                    self._preferred = (server + 1) % len(self._sockets)
                batch = entry.batch
                entry.batch = Batch(batch.id, batch.lines, batch.body, batch.attempt + 1)
                self._send(entry, self._next(entry, server))

    def _next(self, entry: _InFlight, server: int) -> int:
        """The server to ask after `server`: one that has not got the batch, the same at last."""
        for step in range(1, len(self._sockets) + 1):
            following = (server + step) % len(self._sockets)
            if following not in entry.acknowledged and following not in entry.sent_at:
                return following
        return server

    def _listen(self, index: int) -> None:
        socket = self._sockets[index]
        while True:
            frames = socket.recv_multipart()
            try:
                ack = decode_ack(frames)
            except BadBatch as exc:
                _log.warning("a log server sent something odd: %s", exc)
                continue
            entry = self._in_flight.get(ack.seq)
            if entry is None or ack.epoch != self.spool.epoch:
                continue
            if ack.status == "busy":
                entry.sent_at[index] = OVERDUE
                continue
            entry.sent_at.pop(index, None)
            entry.acknowledged.add(index)
            if ack.status != "refused" and len(entry.acknowledged) < self._copies:
                continue
            if ack.status == "refused":
                # For ever: sending it again would be refused again.
                self.refused += 1
                _log.error("a log server refused a batch of %d lines: %s", entry.batch.lines,
                           ack.detail)  # fmt: skip
            del self._in_flight[ack.seq]
            self.spool.forget(ack.seq)
            self._room.set()
