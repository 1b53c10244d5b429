"""Spool: lines that wait to be acknowledged, bounded in bytes.

Place     logs/client. Used by green and by native threads alike: a plain lock around a few
          operations, nobody waits in it.
Promise   `put` never waits and never raises: what does not fit is counted, and the count becomes a
          line of its own when there is room again. A batch stays until `forget`.
Not here  sending (shipper.py).
"""

from __future__ import annotations

import socket
import threading
import time
from collections import OrderedDict

from verdant.logs.codec import BATCH_BYTES_MAX, BATCH_LINES_MAX, Batch, BatchId, compress
from verdant.logs.record import Record, encode_line

__all__ = ["Spool"]

# Memory, so modest: some 100,000 access-log lines.
SPOOL_BYTES_MAX = 64 * 1024 * 1024

# Names, times and quotes around a message.
LINE_OVERHEAD_BYTES = 1024

# Of a batch when there is more than enough: well below what a server takes.
BATCH_BYTES_GOAL = 1024 * 1024


class Spool:
    """Lines in, batches out. `client`: who sends, unique among all clients."""

    def __init__(self, client: str, bytes_max: int = SPOOL_BYTES_MAX) -> None:
        self.client = client
        # Each life of a client has its own numbers; nanoseconds do not repeat.
        self.epoch = time.time_ns()
        self.dropped = 0
        self._bytes_max = bytes_max
        self._lock = threading.Lock()
        # Guarded by _lock: everything below.
        self._lines: list[bytes] = []
        self._lines_bytes = 0
        self._batches: OrderedDict[int, Batch] = OrderedDict()
        self._batches_bytes = 0
        self._dropped_untold = 0
        self._seq = 0

    def put(self, record: Record) -> bool:
        """Take a record in. Returns False when there was no room: it is counted and gone."""
        line = encode_line(record)
        with self._lock:
            if self._lines_bytes + self._batches_bytes + len(line) > self._bytes_max:
                self.dropped += 1
                self._dropped_untold += 1
                return False
            self._lines.append(line)
            self._lines_bytes += len(line)
            return True

    def has_room(self, line_bytes: int) -> bool:
        """True when a line of so many bytes, and what is added to it, would be taken in."""
        with self._lock:
            used = self._lines_bytes + self._batches_bytes
            return used + 2 * line_bytes + LINE_OVERHEAD_BYTES <= self._bytes_max

    def take(self) -> Batch | None:
        """Make the next batch of what has come in, or None when there is nothing."""
        with self._lock:
            if self._dropped_untold:
                self._tell_dropped()
            if not self._lines:
                return None
            count = size = 0
            for line in self._lines:
                if count and (size + len(line) > BATCH_BYTES_GOAL or count >= BATCH_LINES_MAX):
                    break
                count += 1
                size += len(line)
            lines = b"".join(self._lines[:count])
            del self._lines[:count]
            self._lines_bytes -= size
            seq = self._seq
            self._seq += 1
            # Counted as it came: it shrinks when it is packed, outside the lock it could not.
            batch = Batch(BatchId(self.client, self.epoch, seq), count, compress(lines))
            self._batches[seq] = batch
            self._batches_bytes += len(batch.body)
            return batch

    def _tell_dropped(self) -> None:
        count, self._dropped_untold = self._dropped_untold, 0
        record = Record(
            time.time_ns(),
            "verdant",
            socket.gethostname(),
            "WARNING",
            f"{count} lines of {self.client} were dropped: the spool's {self._bytes_max} bytes "
            "were full while no log server took batches",
            {"dropped": count, "client": self.client},
        )
        line = encode_line(record)
        self._lines.append(line)
        self._lines_bytes += len(line)

    def forget(self, seq: int) -> bool:
        """Let go of an acknowledged batch. Returns False when it was gone already."""
        with self._lock:
            batch = self._batches.pop(seq, None)
            if batch is None:
                return False
            self._batches_bytes -= len(batch.body)
            return True

    def unacknowledged(self) -> list[Batch]:
        """Batches that nobody has acknowledged, oldest first."""
        with self._lock:
            return list(self._batches.values())

    @property
    def empty(self) -> bool:
        """True when everything that came in was acknowledged."""
        with self._lock:
            return not self._lines and not self._batches


assert BATCH_BYTES_GOAL < BATCH_BYTES_MAX
