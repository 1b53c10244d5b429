"""Publisher: a state of keys and values that others keep copies of.

Place     zmq/patterns, on green ZeroMQ. The zguide calls the pattern "clone".
Promise   each change has a number; who missed some gets them from the history, or a snapshot. A
          slow or dead subscriber costs a bounded queue and holds up nobody.
Not here  keeping the state over a restart: it starts from `state`, in a new epoch.

    set ─▶ state, history, PUB ─▶ subscribers
    subscriber who misses something ─▶ ROUTER: changes since, or a snapshot in parts

Subscribers ask for one part at a time, so what waits for a slow one is one part; the publisher
remembers nothing of them. Parts of one snapshot are kept until `SNAPSHOTS_KEPT` newer ones are.
"""

from __future__ import annotations

import logging
import os
from collections import OrderedDict
from typing import TYPE_CHECKING

import zmq

from verdant.core import GreenThread, sleep, spawn
from verdant.zmq.errors import BadFrames
from verdant.zmq.frames import REQUEST_BYTES_MAX
from verdant.zmq.patterns.clone_frames import (
    CHANGES,
    GONE,
    KEY_BYTES_MAX,
    PART,
    PART_BYTES_MAX,
    PART_ITEMS_MAX,
    VALUE_BYTES_MAX,
    Answer,
    Ask,
    decode_ask,
    encode_answer,
    encode_beat,
    encode_update,
)
from verdant.zmq.patterns.replica import Change, History
from verdant.zmq.patterns.sockets import bound, endpoint_of, until_closed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from verdant.zmq.context import Context
    from verdant.zmq.security import PortSecurity

__all__ = ["BEAT_S", "Publisher"]

# A loss that nothing follows is noticed at the next beat.
BEAT_S = 0.5
# Everything is in memory, here and at each subscriber, and a snapshot is a copy of it.
STATE_BYTES_MAX = 64 * 1024 * 1024
# What a subscriber may have missed and still get piece by piece.
HISTORY_COUNT_MAX = 10_000
HISTORY_BYTES_MAX = 16 * 1024 * 1024
# A subscriber fetches one in the time that three newer ones take; else it starts again.
SNAPSHOTS_KEPT = 4
# Parts that wait for one subscriber, who should have asked for one.
ANSWERS_WAITING_MAX = 16

_log = logging.getLogger("verdant.zmq")

_Items = list[tuple[bytes, bytes | None]]


class Publisher:
    """Publishes on `updates`, answers on `snapshots`; both endpoints are bound here.

    `state`: what it starts with. `security`: keys for both ports; plain text without.
    """

    def __init__(
        self,
        context: Context,
        updates: str,
        snapshots: str,
        *,
        state: Mapping[bytes, bytes] | None = None,
        security: PortSecurity = None,
        beat_s: float = BEAT_S,
    ) -> None:
        self.epoch = int.from_bytes(os.urandom(8), "big")
        self.seq = 0
        self.rejected = 0
        self._beat_s = beat_s
        self._state: dict[bytes, bytes] = {}
        self._state_bytes = 0
        self._history = History(HISTORY_COUNT_MAX, HISTORY_BYTES_MAX)
        self._snapshots: OrderedDict[int, list[_Items]] = OrderedDict()
        for key, value in (state or {}).items():
            self._check(key, value)
            self._put(key, value)
        self._pub = bound(context, zmq.PUB, updates, security, REQUEST_BYTES_MAX)
        try:
            self._router = bound(
                context,
                zmq.ROUTER,
                snapshots,
                security,
                REQUEST_BYTES_MAX,
                {zmq.SNDHWM: ANSWERS_WAITING_MAX},
            )
        except BaseException:
            self._pub.close()
            raise
        self.updates_endpoint = endpoint_of(self._pub)
        self.snapshots_endpoint = endpoint_of(self._router)
        self._threads: list[GreenThread[None]] = []

    def start(self) -> None:
        """Begin to answer and to beat. Does not park."""
        self._threads = [
            spawn(until_closed, self._beat, name="publisher's beat"),
            spawn(until_closed, self._serve, name="publisher's answers"),
        ]

    def close(self) -> None:
        """Stop, and close both sockets. Parks for a moment."""
        for thread in self._threads:
            thread.cancel()
        for thread in self._threads:
            thread.join()
        self._pub.close(0)
        self._router.close(0)

    def get(self, key: bytes) -> bytes | None:
        """The value of `key`, None when it has none. Does not park."""
        return self._state.get(key)

    def items(self) -> dict[bytes, bytes]:
        """A copy of the state. Does not park."""
        return dict(self._state)

    def set(self, key: bytes, value: bytes) -> int:
        """Give `key` a value; returns the change's number. Does not park.

        Raises ValueError for a key over `KEY_BYTES_MAX`, a value over `VALUE_BYTES_MAX`, or when
        the state would be over `STATE_BYTES_MAX` bytes.
        """
        self._check(key, value)
        self._put(key, value)
        return self._publish(key, value)

    def delete(self, key: bytes) -> int:
        """Take `key` away; returns the change's number. Does not park. Raises KeyError."""
        self._state_bytes -= len(key) + len(self._state.pop(key))
        return self._publish(key, None)

    def _check(self, key: bytes, value: bytes) -> None:
        if len(key) > KEY_BYTES_MAX or len(value) > VALUE_BYTES_MAX:
            raise ValueError(
                f"a key has at most {KEY_BYTES_MAX} bytes and a value {VALUE_BYTES_MAX}, these "
                f"have {len(key)} and {len(value)}"
            )
        if self._state_bytes + len(key) + len(value) > STATE_BYTES_MAX:
            raise ValueError(f"the published state would have over {STATE_BYTES_MAX} bytes")

    def _put(self, key: bytes, value: bytes) -> None:
        old = self._state.get(key)
        self._state_bytes += len(value) - len(old) if old is not None else len(key) + len(value)
        self._state[key] = value

    def _publish(self, key: bytes, value: bytes | None) -> int:
        self.seq += 1
        change = Change(self.epoch, self.seq, key, value)
        self._history.add(change)
        # PUB never waits: for a subscriber whose queue is full it drops, and that one will ask.
        self._pub.send_multipart(encode_update(change), zmq.NOBLOCK)
        return self.seq

    def _beat(self) -> None:
        while True:
            self._pub.send_multipart(encode_beat(self.epoch, self.seq), zmq.NOBLOCK)
            sleep(self._beat_s)

    def _serve(self) -> None:
        while True:
            sender, *frames = self._router.recv_multipart()
            try:
                ask = decode_ask(frames)
            except BadFrames as exc:
                self.rejected += 1
                _log.debug("a subscriber's question cannot be read: %s", exc)
                continue
            try:
                # ROUTER drops what a subscriber has no room for, or who is gone: it asks again.
                self._router.send_multipart([sender, *encode_answer(self._answer(ask))])
            except zmq.ZMQError as exc:
                _log.debug("cannot answer a subscriber: %s", exc)

    def _answer(self, ask: Ask) -> Answer:
        if ask.index is not None:
            parts = self._snapshots.get(ask.seq) if ask.epoch == self.epoch else None
            if parts is None or ask.index >= len(parts):
                return Answer(GONE, ask.request, self.epoch, self.seq)
            return self._part(ask.request, ask.seq, ask.index, parts)
        changes = self._history.since(ask.seq) if ask.epoch == self.epoch else None
        if changes is None:
            seq, parts = self._snapshot()
            return self._part(ask.request, seq, 0, parts)
        first = next(_parts((change.key, change.value) for change in changes))
        return Answer(CHANGES, ask.request, self.epoch, ask.seq + len(first), items=tuple(first))

    def _part(self, request: int, seq: int, index: int, parts: list[_Items]) -> Answer:
        return Answer(PART, request, self.epoch, seq, index, len(parts), tuple(parts[index]))

    def _snapshot(self) -> tuple[int, list[_Items]]:
        if self._snapshots:
            seq = next(reversed(self._snapshots))
            # One that changes lead on from does as well, and many subscribers share it.
            if self._history.since(seq) is not None:
                return seq, self._snapshots[seq]
        self._snapshots[self.seq] = list(_parts(self._state.items()))
        if len(self._snapshots) > SNAPSHOTS_KEPT:
            self._snapshots.popitem(last=False)
        return self.seq, self._snapshots[self.seq]


def _parts(items: Iterable[tuple[bytes, bytes | None]]) -> Iterator[_Items]:
    """`items` in parts that are within an answer's limits; one part, empty, for none."""
    part: _Items = []
    size = 0
    for key, value in items:
        if part and (len(part) >= PART_ITEMS_MAX or size > PART_BYTES_MAX):
            yield part
            part, size = [], 0
        part.append((key, value))
        size += len(key) + len(value or b"") + 1
    yield part
