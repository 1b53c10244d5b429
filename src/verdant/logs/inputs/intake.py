"""Intake: records of any input, to the store's disk.

Place     logs/inputs, over the collector's commit; each input has one.
Promise   `store` returns when all its records are on disk, and raises `NotStored` when they are
          not: then the sender must send again. `put` waits for room; `offer` does neither and
          counts what it drops. All three go into the same group commits as batches from clients.
          What was turned away is told as a line of app `verdant`.
Not here  what a record says (the parsers), who may send (tokens.py).

    store ─────────────────────────▶ batches ─▶ commit (one fdatasync for all that wait)
    put, offer ─▶ bounded lines ─▶ gatherer ─▶ the same; a full disk is tried again
"""

from __future__ import annotations

import logging
import socket
import time
from typing import TYPE_CHECKING

from verdant.core import GreenThread, monotonic, run_in_worker, sleep, spawn
from verdant.logs.client.spool import Spool
from verdant.logs.codec import BATCH_BYTES_MAX, BATCH_LINES_MAX, Batch, BatchId, compress
from verdant.logs.errors import BadInput, NotStored
from verdant.logs.inputs.counts import TOLD, Counts
from verdant.logs.record import FIELDS_BYTES_MAX, MESSAGE_CHARS_MAX, Record, encode_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from verdant.logs.codec import Status

__all__ = ["Intake"]

_log = logging.getLogger("verdant.logs")

# Of one batch: a quarter of what a batch may have, so that a longest line more still fits.
BATCH_BYTES_GOAL = BATCH_BYTES_MAX // 4
# Lines of senders that get no answer, while the disk is behind. Memory, so modest.
WAITING_BYTES_MAX = 16 * 1024 * 1024
# How long they gather: what "within a second" leaves room for.
GATHER_S = 0.1
# A full disk or a closed store: asked again this often.
BUSY_RETRY_S = 0.5
# How often an input tells, as a line of its own, what it turned away since the last time.
TELL_S = 10.0
# Above this, encoding is done in a native worker thread: the hub must not stand still.
HUB_RECORDS_MAX = 200


class Intake:
    """Stores through `commit`, as batches of `client`. `counts`: what became of it."""

    def __init__(self, commit: Callable[[Batch], tuple[Status, str]], client: str) -> None:
        self.counts = Counts()
        self._commit = commit
        self._client = client
        # A life of its own: numbers begin at 0 again after a restart.
        self._epoch = time.time_ns()
        self._seq = 0
        self._waiting = Spool(f"{client}#gathered", WAITING_BYTES_MAX)
        self._gatherer: GreenThread[None] | None = None
        self._told = Counts()

    def start(self) -> None:
        """Begin to gather what `put` and `offer` take. Does not park."""
        self._gatherer = spawn(self._gather, name=f"gatherer of {self._client}")

    def stop(self) -> None:
        """Store what was gathered, then end. Parks."""
        if self._gatherer is not None:
            self._gatherer.cancel()
            self._gatherer.join()
        self.tell()
        if not self._flush():
            _log.error("lines of %s are lost: the disk refuses them to the end", self._client)

    def store(self, records: Sequence[Record]) -> None:
        """Put all of `records` on disk. Parks until they are.

        Raises `NotStored` (for now) and `BadInput` (for ever).
        """
        if len(records) > HUB_RECORDS_MAX:
            bodies = run_in_worker(_bodies, records)
        else:
            bodies = _bodies(records)
        batches = []
        for lines, body in bodies:
            batches.append(Batch(BatchId(self._client, self._epoch, self._seq), lines, body))
            self._seq += 1
        if len(batches) == 1:
            results = [self._commit(batches[0])]
        else:
            # Together, so that they share a commit.
            waiting = [spawn(self._commit, batch, name="commit") for batch in batches]
            results = [thread.wait() for thread in waiting]
        for batch, (status, detail) in zip(batches, results, strict=True):
            if status == "refused":
                raise BadInput(f"{batch.lines} lines cannot be stored: {detail}")
            if status != "stored":
                self.counts.busy += batch.lines
                raise NotStored(f"{batch.lines} lines are not stored: {detail or status}")
            self.counts.stored += batch.lines

    def offer(self, record: Record) -> bool:
        """Take `record` if there is room; False, and counted, if not. Does not park."""
        taken = self._waiting.put(record)
        if not taken:
            self.counts.dropped += 1
        return taken

    def put(self, record: Record) -> None:
        """Take `record`; waits while there is no room. Parks then."""
        while not self._waiting.has_room(len(record.message)):
            sleep(GATHER_S)
        self.offer(record)

    def tell(self) -> None:
        """Make a line of what was turned away since the last call, if anything was."""
        now = self.counts.numbers()
        before, self._told = self._told.numbers(), Counts(**now)
        since = {name: now[name] - before[name] for name in TOLD if now[name] > before[name]}
        if since:
            what = ", ".join(f"{number} {name}" for name, number in since.items())
            fields: dict[str, object] = {"input": self._client, **since}
            host = socket.gethostname()
            self._waiting.put(
                Record(time.time_ns(), "verdant", host, "WARNING", f"turned away: {what}", fields)
            )

    def _gather(self) -> None:
        told_at = monotonic()
        while True:
            sleep(GATHER_S)
            if monotonic() - told_at >= TELL_S:
                told_at = monotonic()
                self.tell()
            while not self._flush():
                sleep(BUSY_RETRY_S)

    def _flush(self) -> bool:
        """Store what waits. False when the disk refuses for now. Parks."""
        while True:
            waiting = self._waiting.unacknowledged()
            batch = waiting[0] if waiting else self._waiting.take()
            if batch is None:
                return True
            status, _ = self._commit(batch)
            if status == "busy":
                return False
            self._waiting.forget(batch.id.seq)
            if status == "refused":
                self.counts.dropped += batch.lines
            else:
                self.counts.stored += batch.lines


def _bodies(records: Iterable[Record]) -> list[tuple[int, bytes]]:
    """Line counts and compressed lines, each small enough for a batch. Pure."""
    bodies = []
    lines: list[bytes] = []
    size = 0
    for record in records:
        line = encode_line(record)
        if lines and (size + len(line) > BATCH_BYTES_GOAL or len(lines) >= BATCH_LINES_MAX):
            bodies.append((len(lines), compress(b"".join(lines))))
            lines, size = [], 0
        lines.append(line)
        size += len(line)
    if lines:
        bodies.append((len(lines), compress(b"".join(lines))))
    return bodies


# Four bytes a character is UTF-8's longest, six an escaped one's; a line alone always fits.
assert 2 * FIELDS_BYTES_MAX + 6 * MESSAGE_CHARS_MAX < BATCH_BYTES_MAX
