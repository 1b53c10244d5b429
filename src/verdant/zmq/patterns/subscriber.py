"""Subscriber: a copy of a publisher's state, and the repair of what went missing.

Place     zmq/patterns, on green ZeroMQ.
Promise   the copy is a state that the publisher had. A change that is lost is noticed by the next
          one, or by the next beat, and fetched; a publisher that starts again is noticed by its
          epoch, and its snapshot replaces the copy.
Not here  every value in between: after a snapshot a key shows its last value alone.
"""

from __future__ import annotations

import itertools
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

import zmq

from verdant.core import GreenThread, TimedOut, Timeout, monotonic, sleep, spawn
from verdant.sync import Event, Lock
from verdant.zmq.errors import BadFrames
from verdant.zmq.patterns.clone_frames import (
    CHANGES,
    PART,
    VALUE_BYTES_MAX,
    Answer,
    Ask,
    answer_changes,
    decode_answer,
    decode_update,
    encode_ask,
)
from verdant.zmq.patterns.replica import Change, Replica
from verdant.zmq.patterns.sockets import connected, until_closed

if TYPE_CHECKING:
    from collections.abc import Callable

    from verdant.zmq.context import Context
    from verdant.zmq.security import ClientSecurity

__all__ = ["Subscriber", "SubscriberStatistics"]

# An answer comes at once from a publisher that is there; a question to one that is not is gone.
ANSWER_S_MAX = 1.0
# After an answer that led nowhere, such as a snapshot that was too slow to fetch.
RETRY_S = 0.05
# A value, and the mark in front of it.
FRAME_BYTES_MAX = VALUE_BYTES_MAX + 1

_log = logging.getLogger("verdant.zmq")


@dataclass(frozen=True, slots=True)
class SubscriberStatistics:
    """`gaps`: times something was missing; `snapshots` and `repairs`: how that was made good.

    `rejected`: messages that were none. `unanswered`: questions.
    """

    changes: int
    gaps: int
    repairs: int
    snapshots: int
    unanswered: int
    rejected: int


class Subscriber:
    """Follows the publisher at `updates` and `snapshots`.

    `on_change(change)` is called for each change in order, in a green thread of ours; while it runs
    nothing else comes in. `security`: whose key the publisher must have, and ours.
    """

    def __init__(
        self,
        context: Context,
        updates: str,
        snapshots: str,
        *,
        on_change: Callable[[Change], object] | None = None,
        security: ClientSecurity | None = None,
    ) -> None:
        self._on_change = on_change
        self._replica = Replica()
        self._sub = connected(context, zmq.SUB, updates, security, FRAME_BYTES_MAX)
        self._sub.setsockopt(zmq.SUBSCRIBE, b"")
        self._dealer = connected(context, zmq.DEALER, snapshots, security, FRAME_BYTES_MAX)
        self._requests = itertools.count(1)
        # What `on_change` hears is in order although two of us tell it.
        self._applying = Lock()
        self._changed = Event()
        self._behind = Event()
        self._behind.set()
        self._heard_at: float | None = None
        self._counts = dict.fromkeys(
            ("changes", "gaps", "repairs", "snapshots", "unanswered", "rejected"), 0
        )
        self._threads: list[GreenThread[None]] = []

    def start(self) -> None:
        """Begin to follow. Does not park."""
        self._threads = [
            spawn(until_closed, self._listen, name="subscriber"),
            spawn(until_closed, self._repair, name="subscriber's repair"),
        ]

    def close(self) -> None:
        """Stop; the copy stays readable. Parks for a moment."""
        for thread in self._threads:
            thread.cancel()
        for thread in self._threads:
            thread.join()
        self._sub.close(0)
        self._dealer.close(0)

    # Reading.

    def get(self, key: bytes) -> bytes | None:
        """The value of `key`, None when it has none. Does not park."""
        return self._replica.state.get(key)

    def items(self) -> dict[bytes, bytes]:
        """A copy of the state. Does not park."""
        return dict(self._replica.state)

    @property
    def version(self) -> tuple[int | None, int]:
        """The publisher's epoch and the number of the last change that is in the copy."""
        return self._replica.epoch, self._replica.seq

    @property
    def synced(self) -> bool:
        """True when nothing is known to be missing."""
        return not self._replica.behind

    @property
    def silent_s(self) -> float | None:
        """Seconds since the publisher was last heard; None before it was."""
        return None if self._heard_at is None else monotonic() - self._heard_at

    def statistics(self) -> SubscriberStatistics:
        """What was counted so far. Does not park."""
        return SubscriberStatistics(**self._counts)

    def wait_synced(self, timeout_s: float | None = None) -> None:
        """Park until nothing is known to be missing. Raises `TimedOut`."""
        self.wait_for(lambda: self.synced, timeout_s)

    def wait_for(self, claim: Callable[[], object], timeout_s: float | None = None) -> None:
        """Park until `claim()` is true; asked after each change. Raises `TimedOut`."""
        deadline = None if timeout_s is None else monotonic() + timeout_s
        while not claim():
            self._changed.clear()
            left = None if deadline is None else deadline - monotonic()
            if (left is not None and left <= 0) or not self._changed.wait(left):
                raise TimedOut(f"the copy of a state did not get there within {timeout_s} s")

    # Following.

    def _listen(self) -> None:
        while True:
            frames = self._sub.recv_multipart()
            try:
                update = decode_update(frames)
            except BadFrames as exc:
                self._reject("an update", exc)
                continue
            self._heard_at = monotonic()
            if isinstance(update, Change):
                with self._applying:
                    self._tell(self._replica.offer(update))
            else:
                self._replica.hear(*update)
            if self._replica.behind and not self._behind.is_set():
                self._counts["gaps"] += 1
                self._behind.set()

    def _tell(self, changes: list[Change]) -> None:
        self._counts["changes"] += len(changes)
        self._changed.set()
        if self._on_change is not None:
            for change in changes:
                self._on_change(change)

    def _reject(self, what: str, exc: BadFrames) -> None:
        self._counts["rejected"] += 1
        _log.debug("%s from a publisher cannot be read: %s", what, exc)

    # Repairing.

    def _repair(self) -> None:
        while True:
            # Set by _listen(), and at the start, when everything is missing.
            self._behind.wait()
            while self._replica.behind:
                before = self.version
                self._fetch()
                if self.version == before:
                    sleep(RETRY_S)
            self._behind.clear()
            self._changed.set()

    def _fetch(self) -> None:
        replica = self._replica
        answer = self._ask(replica.epoch or 0, replica.seq if replica.epoch is not None else 0)
        if answer is None:
            return
        if answer.kind == CHANGES:
            self._counts["repairs"] += 1
            replica.hear(answer.epoch, answer.seq)
            with self._applying:
                for change in answer_changes(answer):
                    self._tell(replica.offer(change))
            return
        items: dict[bytes, bytes] = {}
        index = 0
        while answer.kind == PART and answer.index == index:
            items.update((key, value) for key, value in answer.items if value is not None)
            index += 1
            if index >= answer.parts:
                self._counts["snapshots"] += 1
                with self._applying:
                    self._tell(replica.load(answer.epoch, answer.seq, items))
                return
            following = self._ask(answer.epoch, answer.seq, index)
            if following is None or (following.epoch, following.seq) != (answer.epoch, answer.seq):
                # It started again, or keeps newer snapshots by now: from the beginning.
                return
            answer = following

    def _ask(self, epoch: int, seq: int, index: int | None = None) -> Answer | None:
        request = next(self._requests)
        # Leaves the block silently when its time is up.
        with Timeout(ANSWER_S_MAX, False):
            self._dealer.send_multipart(encode_ask(Ask(request, epoch, seq, index)))
            while True:
                frames = self._dealer.recv_multipart()
                try:
                    answer = decode_answer(frames)
                except BadFrames as exc:
                    self._reject("an answer", exc)
                    continue
                # Others are answers to questions that we gave up.
                if answer.request == request:
                    self._heard_at = monotonic()
                    return answer
        self._counts["unanswered"] += 1
        return None
