"""Acked push and pull: work for one of several, until one of them says that it is done.

Place     zmq/patterns, on green ZeroMQ. For work that PUSH/PULL would lose with a dead peer.
Promise   what `put` took is delivered until an `ack` comes: at least once. No word in `ack_s`, and
          the next peer gets it. A puller hands out a message that it has acked no second time.
Not here  what happens when the pusher itself dies: what it had not sent is gone with it; keep it on
          disk first (as the log pipeline's servers do) where that matters.

    AckedPush ── (epoch, seq) · payload ──▶ AckedPull ── take() ▶ work ▶ ack()
              ◀── (epoch, seq) ────────────
"""

from __future__ import annotations

import itertools
import logging
import os
import struct
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import zmq

from verdant.core import GreenThread, monotonic, sleep, spawn
from verdant.sync import Event, Queue, Semaphore
from verdant.zmq.errors import BadFrames
from verdant.zmq.frames import REQUEST_BYTES_MAX, FrameLimits, check_frames
from verdant.zmq.patterns.sockets import bound, connected, endpoint_of, until_closed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType

    from verdant.zmq.context import Context
    from verdant.zmq.security import ClientSecurity, PortSecurity

__all__ = ["AckedPull", "AckedPush", "Delivery"]

MARK = b"VQ1"
PAYLOAD_BYTES_MAX = 1024 * 1024
# Messages that wait for an ack; `put` parks beyond it.
WAITING_MAX = 1000
# Work that takes longer than this is given to somebody else as well.
ACK_S = 5.0
# How often overdue messages are looked for.
LOOK_S = 0.1
# Messages that wait in a puller: little, since what waits there is not done elsewhere.
TAKEN_MAX = 100
# Acked messages that a puller knows again; beyond it a very late copy is handed out once more.
REMEMBERED_MAX = 100_000

_header = struct.Struct(">QQ")
_WORK = FrameLimits(3, 3, 64 + PAYLOAD_BYTES_MAX, MARK)
_ACK = FrameLimits(2, 2, 64, MARK)

_log = logging.getLogger("verdant.zmq")


def _numbers(frames: list[bytes], limits: FrameLimits) -> tuple[int, int]:
    check_frames(frames, limits)
    if len(frames[1]) != _header.size:
        raise BadFrames(f"a message's number has {_header.size} bytes")
    epoch, seq = _header.unpack(frames[1])
    return epoch, seq


class _Sent:
    __slots__ = ("at", "payload", "peer")

    def __init__(self, payload: bytes, peer: int, at: float) -> None:
        self.payload = payload
        self.peer = peer
        self.at = at


class AckedPush:
    """Sends to the pullers at `endpoints`, in turn.

    `security`: by endpoint, as the log shipper's; plain text to the others. `ack_s`: seconds until
    a message goes to the next one as well.
    """

    def __init__(
        self,
        context: Context,
        endpoints: Sequence[str],
        *,
        security: Mapping[str, ClientSecurity] | None = None,
        waiting_max: int = WAITING_MAX,
        ack_s: float = ACK_S,
    ) -> None:
        if not endpoints:
            raise ValueError("there must be somebody to push to")
        self.resent = 0
        self.rejected = 0
        self._ack_s = ack_s
        # Each life has its own numbers.
        self._epoch = int.from_bytes(os.urandom(8), "big")
        self._seqs = itertools.count(1)
        self._room = Semaphore(waiting_max)
        self._waiting: OrderedDict[int, _Sent] = OrderedDict()
        self._empty = Event()
        self._empty.set()
        options = {zmq.SNDHWM: waiting_max}
        self._sockets = [
            connected(
                context, zmq.DEALER, endpoint, (security or {}).get(endpoint), REQUEST_BYTES_MAX,
                options,
            )
            for endpoint in endpoints
        ]  # fmt: skip
        self._turn = itertools.cycle(range(len(endpoints)))
        self._threads = [
            spawn(until_closed, self._listen, index, name=f"acks {index}")
            for index in range(len(endpoints))
        ]
        self._threads.append(spawn(self._look_for_overdue, name="overdue messages"))

    @property
    def waiting(self) -> int:
        """Messages without an ack."""
        return len(self._waiting)

    def put(self, payload: bytes) -> None:
        """Send `payload` to somebody. Parks while `waiting_max` messages have no ack."""
        if len(payload) > PAYLOAD_BYTES_MAX:
            raise ValueError(f"a message of {len(payload)} bytes is over {PAYLOAD_BYTES_MAX}")
        self._room.acquire()
        seq = next(self._seqs)
        self._empty.clear()
        self._send(seq, payload, next(self._turn))

    def flush(self, timeout_s: float | None = None) -> bool:
        """Park until everything is acked. Returns False after `timeout_s` seconds."""
        return self._empty.wait(timeout_s)

    def close(self) -> None:
        """End; what has no ack is forgotten, so `flush` first. Parks for a moment."""
        for thread in self._threads:
            thread.cancel()
        for thread in self._threads:
            thread.join()
        for socket in self._sockets:
            socket.close(0)

    def _send(self, seq: int, payload: bytes, peer: int) -> None:
        entry = self._waiting[seq] = _Sent(payload, peer, monotonic())
        self._waiting.move_to_end(seq)
        try:
            # Never waiting: one that is away must not hold up the others.
            frames = [MARK, _header.pack(self._epoch, seq), payload]
            self._sockets[peer].send_multipart(frames, zmq.NOBLOCK)
        except zmq.ZMQError:
            # Overdue at once, so the next one gets it at the next look.
            entry.at = -self._ack_s

    def _look_for_overdue(self) -> None:
        while True:
            sleep(LOOK_S)
            oldest = monotonic() - self._ack_s
            for seq, entry in list(self._waiting.items()):
                if entry.at <= oldest and seq in self._waiting:
                    self.resent += 1
                    self._send(seq, entry.payload, (entry.peer + 1) % len(self._sockets))

    def _listen(self, index: int) -> None:
        while True:
            frames = self._sockets[index].recv_multipart()
            try:
                epoch, seq = _numbers(frames, _ACK)
            except BadFrames as exc:
                self.rejected += 1
                _log.debug("an ack cannot be read: %s", exc)
                continue
            if epoch == self._epoch and self._waiting.pop(seq, None) is not None:
                self._room.release()
                if not self._waiting:
                    self._empty.set()


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message, and whose it is. Around its work: acked when that ends well, else released."""

    payload: bytes
    _pull: AckedPull
    _sender: bytes
    _id: tuple[int, int]

    def ack(self) -> None:
        """Say that it is done. Does not park."""
        self._pull._ack(self._sender, self._id)  # noqa: SLF001 - one part

    def release(self) -> None:
        """Say that it is not done: its next copy is handed out again. Does not park."""
        self._pull._release(self._id)  # noqa: SLF001 - one part

    def __enter__(self) -> bytes:
        """The payload."""
        return self.payload

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Ack it, or release it after an exception."""
        if kind is None:
            self.ack()
        else:
            self.release()


class AckedPull:
    """Takes messages at `endpoint` (bound here). `security`: keys for the port."""

    def __init__(self, context: Context, endpoint: str, *, security: PortSecurity = None) -> None:
        self.rejected = 0
        self.duplicates = 0
        # Small: what waits in a dead puller's queues is late, since only `ack_s` brings it back.
        options = {zmq.RCVHWM: TAKEN_MAX}
        self._socket = bound(context, zmq.ROUTER, endpoint, security, PAYLOAD_BYTES_MAX, options)
        self.endpoint = endpoint_of(self._socket)
        self._taken: Queue[Delivery] = Queue(TAKEN_MAX)
        # What was handed out (False) or acked (True), by number.
        self._known: OrderedDict[tuple[int, int], bool] = OrderedDict()
        self._thread: GreenThread[None] = spawn(until_closed, self._receive, name="acked pull")

    def take(self, timeout_s: float | None = None) -> Delivery:
        """The next message. Parks. Raises `TimedOut` after `timeout_s` seconds."""
        return self._taken.get(timeout_s)

    def close(self) -> None:
        """End; what has no ack goes to another puller. Parks for a moment."""
        self._thread.cancel()
        self._thread.join()
        self._socket.close(100)

    def _receive(self) -> None:
        while True:
            sender, *frames = self._socket.recv_multipart()
            try:
                number = _numbers(frames, _WORK)
            except BadFrames as exc:
                self.rejected += 1
                _log.debug("a message of an acked push cannot be read: %s", exc)
                continue
            state = self._known.get(number)
            if state is not None:
                self.duplicates += 1
                if state:
                    # Its ack was lost, or late.
                    self._ack(sender, number)
                continue
            self._remember(number, done=False)
            # Parks while nobody takes: the queues behind us fill, and overdue ones go elsewhere.
            self._taken.put(Delivery(frames[2], self, sender, number))

    def _remember(self, number: tuple[int, int], *, done: bool) -> None:
        self._known[number] = done
        if len(self._known) > REMEMBERED_MAX:
            self._known.popitem(last=False)

    def _release(self, number: tuple[int, int]) -> None:
        if self._known.get(number) is False:
            del self._known[number]

    def _ack(self, sender: bytes, number: tuple[int, int]) -> None:
        self._remember(number, done=True)
        try:
            self._socket.send_multipart([sender, MARK, _header.pack(*number)], zmq.NOBLOCK)
        except zmq.ZMQError as exc:
            # It sends the message again, and hears it then.
            _log.debug("cannot ack: %s", exc)
