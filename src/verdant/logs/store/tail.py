"""Tail: the lines that are not sealed yet, in a write-ahead log and in memory.

Place     logs/store. Blocking; guarded by the store's lock.
Promise   every line of its tables is in its log, on disk.
"""

from __future__ import annotations

import contextlib
import logging
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from verdant.logs.errors import BadBatch
from verdant.logs.ranges import KnownBatches
from verdant.logs.store.columns import table_of
from verdant.logs.store.segment import sync_directory
from verdant.logs.store.wal import WriteAheadLog, read_wal

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import pyarrow as pa

    from verdant.logs.store.wal import WalEntry

__all__ = ["Tail", "find_logs", "open_tail", "replay"]

_log = logging.getLogger("verdant.logs")


@dataclass(slots=True)
class Tail:
    """A log at `path` and its lines. `log` is None when it is written no more."""

    path: Path
    log: WriteAheadLog | None
    # Each with the position of its first line.
    tables: list[tuple[int, pa.Table]] = field(default_factory=list)
    batches: KnownBatches = field(default_factory=KnownBatches)
    lines: int = 0
    # By this machine's clock, when its first line came.
    since_ns: int = field(default_factory=time.time_ns)

    def add(self, entry: WalEntry, table: pa.Table) -> None:
        """Take in the lines of an entry that is in the log."""
        if not self.tables:
            self.since_ns = entry.received_ns
        batch_id = entry.batch.id
        self.tables.append((entry.position, table))
        self.batches.add(batch_id.client, batch_id.epoch, batch_id.seq)
        self.lines += table.num_rows

    @property
    def bytes_written(self) -> int:
        """Of its log."""
        return 0 if self.log is None else self.log.bytes_written

    def end_log(self) -> None:
        """Write no more."""
        if self.log is not None:
            self.log.close()
            self.log = None

    def discard(self) -> None:
        """Unlink the log: its lines are in a segment."""
        self.end_log()
        with contextlib.suppress(OSError):
            self.path.unlink(missing_ok=True)


def open_tail(directory: Path, position: int) -> Tail:
    """An empty tail whose first line will have `position`. Raises OSError."""
    path = directory / f"wal-{position:020d}.log"
    tail = Tail(path, WriteAheadLog(path))
    # Its lines are as durable as its name.
    sync_directory(directory)
    return tail


def find_logs(directory: Path) -> Iterator[tuple[int, Path]]:
    """Every log in `directory` with the position of its first line, in order."""
    for path in sorted(directory.glob("wal-*.log")):
        number = path.stem.removeprefix("wal-")
        if number.isdigit():
            yield int(number), path


def replay(path: Path, known: KnownBatches) -> Tail:
    """The lines of a log. A batch of `known` is left out: it was written, then refused, then came
    again."""
    tail = Tail(path, None)
    for entry in read_wal(path):
        batch_id = entry.batch.id
        if (batch_id.client, batch_id.epoch, batch_id.seq) in known:
            continue
        try:
            table = table_of(entry)
        except BadBatch as exc:
            # Whole by its checksum, so another version of this program wrote it.
            _log.error("%s has a batch that cannot be read and is left out: %s", path, exc)
            continue
        known.add(batch_id.client, batch_id.epoch, batch_id.seq)
        tail.add(entry, table)
    return tail
