"""Store: one log server's lines, written once, found by position and time.

Place     logs/store. Plain blocking code: the server calls it in native worker threads.
Promise   a batch reported "stored" is on disk; "duplicate" means that it was already. A line is in
          the tail or in one segment, never in both or neither, also while a segment is sealed.
Not here  looking for lines (scanner.py).

    append ─▶ wal-N.log + tail (Arrow) ── seal ─▶ segment-N-M.parquet ─▶ wal-N.log is unlinked

On start every log without its segment is replayed, one with it is redundant.
"""

from __future__ import annotations

import errno
import fcntl
import os
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet

from verdant.logs.errors import BadBatch, StoreInUse, StoreUnwritable
from verdant.logs.store.segment import (
    Segment,
    find_segments,
    sync_directory,
    table_of,
    write_segment,
)
from verdant.logs.store.wal import WAL_BYTES_MAX, WalEntry, WriteAheadLog, read_wal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from verdant.logs.codec import Batch, BatchId, Status

__all__ = ["Snapshot", "Store"]

# The tail is sealed at this many lines: queries over it stay in the milliseconds.
TAIL_LINES_MAX = 500_000
# Identities remembered of one client's life. Retries come within minutes; more batches than this
# in between would be gigabytes.
SEQUENCES_REMEMBERED = 100_000
# Segments whose identities are read again on start, newest first, for the same reason.
SEGMENTS_REMEMBERED = 8


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What the store held at one moment; `end` is the position behind its last line."""

    segments: tuple[Segment, ...]
    tables: tuple[pa.Table, ...]
    end: int


@dataclass(slots=True)
class _Tail:
    """A write-ahead log and its lines in memory."""

    wal: WriteAheadLog
    tables: list[pa.Table] = field(default_factory=list)
    lines: int = 0


class Store:
    """The lines in `directory`. Safe to call from several native threads.

    Raises `StoreInUse` and `StoreUnwritable`.
    """

    def __init__(self, directory: str | Path) -> None:
        self.directory = Path(directory)
        self._lock = threading.Lock()
        self._sealing = threading.Lock()
        # Guarded by _lock: everything below.
        self._segments: list[Segment] = []
        self._sealed_tails: list[_Tail] = []
        self._seen: dict[tuple[str, int], dict[int, None]] = {}
        self._end = 0
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            self._lock_fd = os.open(self.directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC)
        except OSError as exc:
            raise self._unwritable(exc) from exc
        try:
            fcntl.flock(self._lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as exc:
            os.close(self._lock_fd)
            raise StoreInUse(
                f"another log server uses {self.directory}: stop it, or set another data_dir"
            ) from exc
        try:
            self._load()
            self._tail = self._new_tail()
        except OSError as exc:
            os.close(self._lock_fd)
            raise self._unwritable(exc) from exc

    def _unwritable(self, exc: OSError) -> StoreUnwritable:
        return StoreUnwritable(
            f"cannot keep logs in {self.directory} ({exc.strerror}): make it writable for this "
            "user and free some space, or set another data_dir"
        )

    def _load(self) -> None:
        for leftover in self.directory.glob("segment-*.tmp"):
            leftover.unlink()
        self._segments = find_segments(self.directory)
        for segment in self._segments:
            self._end = max(self._end, segment.last + 1)
        for segment in self._segments[-SEGMENTS_REMEMBERED:]:
            columns = pyarrow.parquet.read_table(segment.path, columns=["client", "epoch", "seq"])
            for row in columns.group_by(["client", "epoch", "seq"]).aggregate([]).to_pylist():
                self._remember(row["client"], row["epoch"], row["seq"])
        firsts = {segment.first for segment in self._segments}
        for path in sorted(self.directory.glob("wal-*.log")):
            if int(path.stem.removeprefix("wal-")) in firsts:
                path.unlink()
                continue
            self._replay(path)

    def _replay(self, path: Path) -> None:
        tail = _Tail(WriteAheadLog(path))
        for entry in read_wal(path):
            table = table_of(entry)
            tail.tables.append(table)
            tail.lines += table.num_rows
            self._end = max(self._end, entry.position + table.num_rows)
            self._remember(entry.batch.id.client, entry.batch.id.epoch, entry.batch.id.seq)
        tail.wal.close()
        if tail.tables:
            self._sealed_tails.append(tail)
        else:
            path.unlink()

    def _new_tail(self) -> _Tail:
        tail = _Tail(WriteAheadLog(self.directory / f"wal-{self._end:020d}.log"))
        sync_directory(self.directory)
        return tail

    def append(self, batches: Sequence[Batch]) -> list[tuple[Status, str]]:
        """Store what is new of `batches` in one group commit; a status and a detail for each."""
        results: list[tuple[Status, str]] = []
        entries: list[WalEntry] = []
        tables: list[pa.Table] = []
        now_ns = time.time_ns()
        with self._lock:
            position = self._end
            fresh: set[BatchId] = set()
            for batch in batches:
                if self._is_known(batch.id) or batch.id in fresh:
                    results.append(("duplicate", ""))
                    continue
                entry = WalEntry(batch, position, now_ns)
                try:
                    table = table_of(entry)
                except BadBatch as exc:
                    results.append(("refused", str(exc)))
                    continue
                fresh.add(batch.id)
                entries.append(entry)
                tables.append(table)
                position += batch.lines
                results.append(("stored", ""))
            if entries:
                try:
                    self._tail.wal.append(entries)
                except OSError as exc:
                    reason = self._commit_failed(exc)
                    return [
                        ("busy", reason) if status == "stored" else (status, detail)
                        for status, detail in results
                    ]
                for entry in entries:
                    batch_id = entry.batch.id
                    self._remember(batch_id.client, batch_id.epoch, batch_id.seq)
                self._tail.tables.extend(tables)
                self._tail.lines += position - self._end
                self._end = position
        return results

    @staticmethod
    def _commit_failed(exc: OSError) -> str:
        if exc.errno == errno.ENOSPC:
            return "the disk is full: free some space, the batch is welcome then"
        return f"the disk refuses ({exc.strerror})"

    def _is_known(self, batch_id: BatchId) -> bool:
        known = self._seen.get((batch_id.client, batch_id.epoch))
        return known is not None and batch_id.seq in known

    def _remember(self, client: str, epoch: int, seq: int) -> None:
        known = self._seen.setdefault((client, epoch), {})
        known[seq] = None
        if len(known) > SEQUENCES_REMEMBERED:
            del known[next(iter(known))]

    def wants_sealing(self) -> bool:
        """True when the tail is long enough for a segment, or an earlier one waits."""
        with self._lock:
            tail = self._tail
            return bool(self._sealed_tails) or (
                tail.wal.bytes_written >= WAL_BYTES_MAX or tail.lines >= TAIL_LINES_MAX
            )

    def seal(self) -> None:
        """Make segments of everything in memory. Blocks; `append` goes on meanwhile.

        Raises `StoreUnwritable`; then the lines stay where they are, safe in their logs.
        """
        with self._sealing:
            with self._lock:
                if self._tail.lines:
                    try:
                        fresh = self._new_tail()
                    except OSError as exc:
                        raise self._unwritable(exc) from exc
                    self._tail.wal.close()
                    self._sealed_tails.append(self._tail)
                    self._tail = fresh
                waiting = list(self._sealed_tails)
            for tail in waiting:
                self._seal_one(tail)

    def _seal_one(self, tail: _Tail) -> None:
        try:
            segment = write_segment(self.directory, pa.concat_tables(tail.tables))
        except OSError as exc:
            raise self._unwritable(exc) from exc
        with self._lock:
            # In one step: a snapshot sees the lines in one place or the other.
            self._segments.append(segment)
            self._sealed_tails.remove(tail)
        tail.wal.path.unlink(missing_ok=True)

    def drop_oldest(self, bytes_max: int) -> int:
        """Unlink the oldest segments until all together have at most `bytes_max`. Blocks.

        Returns how many went.
        """
        with self._lock:
            total = sum(segment.bytes for segment in self._segments)
            dropped = []
            while total > bytes_max and len(self._segments) > 1:
                segment = self._segments.pop(0)
                total -= segment.bytes
                dropped.append(segment)
        for segment in dropped:
            segment.path.unlink(missing_ok=True)
        return len(dropped)

    def snapshot(self) -> Snapshot:
        """Where every line is now."""
        with self._lock:
            tails = (*self._sealed_tails, self._tail)
            tables = tuple(table for tail in tails for table in tail.tables)
            return Snapshot(tuple(self._segments), tables, self._end)

    def close(self) -> None:
        """Let go of the directory. Blocks for a moment; nothing is lost without it."""
        with self._lock:
            self._tail.wal.close()
            if not self._tail.lines:
                self._tail.wal.path.unlink(missing_ok=True)
        os.close(self._lock_fd)
