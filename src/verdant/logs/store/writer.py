"""Store: one log server's lines, written once, found by position and time.

Place     logs/store. Plain blocking code: the server calls it in native worker threads.
Promise   a batch reported "stored" is on disk; "duplicate" means that it was already. A line is in
          the tail or in one segment, never in both or neither, also while segments are sealed,
          merged or thinned out. A full disk refuses batches and nothing else.
Not here  looking for lines (scanner.py), what is kept for how long (retention.py, upkeep.py).

    append ─▶ wal-N.log + tail (Arrow) ── seal ─▶ segment-N-M-0.parquet ─▶ wal-N.log is unlinked

On start every log without its segment is replayed, one with it is redundant.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from verdant.logs.errors import BadBatch, StoreInUse, StoreUnwritable
from verdant.logs.store.catalogue import Catalogue
from verdant.logs.store.columns import table_of
from verdant.logs.store.engine import Engines
from verdant.logs.store.headroom import Headroom
from verdant.logs.store.leases import Leases
from verdant.logs.store.loading import Loaded, load_directory, read_identity
from verdant.logs.store.segment import Segment, grams_path, write_segment
from verdant.logs.store.snapshot import Snapshot
from verdant.logs.store.tail import Tail, open_tail
from verdant.logs.store.wal import WAL_BYTES_MAX, WalEntry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from verdant.logs.codec import Batch, BatchId, Status

__all__ = ["TAIL_LINES_MAX", "Store"]

# The tail is sealed at this many lines: queries over it stay in the milliseconds.
TAIL_LINES_MAX = 500_000
# And at this age, so that lines of a quiet server grow old by themselves too.
TAIL_AGE_S_MAX = 3600.0
# Tails that could not be sealed: beyond it batches are refused, or memory would be the next to go.
TAILS_WAITING_MAX = 3


class Store:
    """The lines in `directory`. Safe to call from several native threads.

    `headroom_bytes` are kept aside for sealing on a full disk. `progress` hears of each segment
    that a start has to read. Raises `StoreInUse` and `StoreUnwritable`.
    """

    def __init__(
        self,
        directory: str | Path,
        headroom_bytes: int = 0,
        progress: Callable[[int, int], object] = lambda done, total: None,
    ) -> None:
        self.directory = Path(directory)
        self.headroom = Headroom(self.directory, headroom_bytes)
        # Held in this order: one thread seals, one writes the log, and the last is never held
        # while a disk works, so that a search need not wait for one.
        self._sealing = threading.Lock()
        self._appending = threading.Lock()
        self._lock = threading.Lock()
        self.catalogue = Catalogue(self.directory)
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
            self.identity = read_identity(self.directory)
            loaded = load_directory(self.directory, self.catalogue, progress)
        except OSError as exc:
            os.close(self._lock_fd)
            raise self._unwritable(exc) from exc
        self._take(loaded)
        self.engines = Engines()
        self.headroom.reserve()

    def _take(self, loaded: Loaded) -> None:
        # Changed under _lock, and _tail, _known and _end under _appending too. Segments are in the
        # order of their positions.
        self._segments: list[Segment] = loaded.segments
        self._waiting_tails: list[Tail] = loaded.tails
        self._known = loaded.known
        self._end = loaded.end
        self._leases = Leases()
        self._tail: Tail | None = None
        with contextlib.suppress(OSError):
            # On a full disk this may fail; the first batch that is taken tries again.
            self._tail = open_tail(self.directory, self._end)
            for path in loaded.empty:
                if path != self._tail.path:
                    path.unlink(missing_ok=True)

    def _unwritable(self, exc: OSError) -> StoreUnwritable:
        return StoreUnwritable(
            f"cannot keep logs in {self.directory} ({exc.strerror}): make it writable for this "
            "user and free some space, or set another data_dir"
        )

    def append(self, batches: Sequence[Batch]) -> list[tuple[Status, str]]:
        """Store what is new of `batches` in one group commit; a status and a detail for each."""
        results: list[tuple[Status, str]] = []
        entries: list[WalEntry] = []
        tables: list[pa.Table] = []
        now_ns = time.time_ns()
        with self._appending:
            position = self._end
            fresh: set[BatchId] = set()
            for batch in batches:
                identity = (batch.id.client, batch.id.epoch, batch.id.seq)
                if identity in self._known or batch.id in fresh:
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
            if entries and (reason := self._commit(entries, tables)) is not None:
                return [
                    ("busy", reason) if status == "stored" else (status, detail)
                    for status, detail in results
                ]
        return results

    def _commit(self, entries: list[WalEntry], tables: list[pa.Table]) -> str | None:
        # Under _appending. Returns why nothing was written.
        if len(self._waiting_tails) > TAILS_WAITING_MAX:
            return "sealing is behind: the batch is welcome when the disk takes segments again"
        try:
            if self._tail is None:
                self._tail = open_tail(self.directory, self._end)
            assert self._tail.log is not None
            self._tail.log.append(entries)
        except OSError as exc:
            if exc.errno in (errno.ENOSPC, errno.EDQUOT):
                return "the disk is full: free some space, the batch is welcome then"
            return f"the disk refuses ({exc.strerror})"
        with self._lock:
            for entry, table in zip(entries, tables, strict=True):
                batch_id = entry.batch.id
                self._known.add(batch_id.client, batch_id.epoch, batch_id.seq)
                self._tail.add(entry, table)
                self._end += table.num_rows
        return None

    def wants_sealing(self) -> bool:
        """True when the tail is long or old enough for a segment, or an earlier one waits."""
        with self._lock:
            tail = self._tail
            if self._waiting_tails:
                return True
            if tail is None or not tail.lines:
                return False
            age_ns = time.time_ns() - tail.since_ns
            return (
                tail.bytes_written >= WAL_BYTES_MAX
                or tail.lines >= TAIL_LINES_MAX
                or age_ns > TAIL_AGE_S_MAX * 1e9
            )

    def seal(self) -> None:
        """Make segments of everything in memory. Blocks; `append` goes on meanwhile.

        Raises `StoreUnwritable`; then the lines stay where they are, safe in their logs.
        """
        with self._sealing:
            with self._appending:
                tail = self._tail
                if tail is not None and tail.lines:
                    try:
                        fresh = open_tail(self.directory, self._end)
                    except OSError as exc:
                        raise self._unwritable(exc) from exc
                    tail.end_log()
                    with self._lock:
                        self._tail = fresh
                        self._waiting_tails.append(tail)
                waiting = list(self._waiting_tails)
            for tail in waiting:
                self._seal_one(tail)

    def _seal_one(self, tail: Tail) -> None:
        table = pa.concat_tables([table for _, table in tail.tables])
        first, last_table = tail.tables[0][0], tail.tables[-1]
        span = (first, last_table[0] + last_table[1].num_rows - 1, 0)
        try:
            segment = write_segment(self.directory, table, span)
        except OSError as exc:
            raise self._unwritable(exc) from exc
        with self._lock:
            # In one step: a snapshot sees the lines in one place or the other.
            self._segments.append(segment)
            self._segments.sort(key=lambda each: each.first)
            self._waiting_tails.remove(tail)
        self.catalogue.replace((), (segment,))
        tail.discard()

    def replace(self, gone: Sequence[Segment], come: Iterable[Segment]) -> None:
        """Take segments out and others, which have what is kept of them, in. Blocks."""
        come = list(come)
        with self._lock:
            self._segments = [each for each in self._segments if each not in gone] + come
            self._segments.sort(key=lambda each: each.first)
            self._leases.condemn(segment.path for segment in gone)
        self.catalogue.replace(gone, come)
        self.unlink_free()

    def unlink_free(self) -> None:
        """Unlink what was taken out and nobody reads any more. Blocks."""
        with self._lock:
            free = self._leases.take_free()
        for path in free:
            for each in (path, grams_path(path)):
                with contextlib.suppress(OSError):
                    each.unlink(missing_ok=True)

    @property
    def segments(self) -> tuple[Segment, ...]:
        """Sealed segments in the order of their positions."""
        with self._lock:
            return tuple(self._segments)

    @property
    def log_bytes(self) -> int:
        """Of the logs that are not sealed."""
        with self._lock:
            tails = [*self._waiting_tails, *([] if self._tail is None else [self._tail])]
            return sum(tail.path.stat().st_size for tail in tails if tail.path.exists())

    def snapshot(self) -> Snapshot:
        """Where every line is now; its files stay until it is closed."""
        with self._lock:
            tails = [*self._waiting_tails, *([] if self._tail is None else [self._tail])]
            return Snapshot(
                tuple(self._segments),
                tuple(entry for tail in tails for entry in tail.tables),
                tuple(piece for tail in tails for piece in tail.batches.ranges()),
                self._end,
                self._leases.begin(),
                self._end_lease,
            )

    def _end_lease(self, lease: int) -> None:
        with self._lock:
            self._leases.end(lease)

    @property
    def end(self) -> int:
        """The position that the next line will have."""
        with self._lock:
            return self._end

    def close(self) -> None:
        """Let go of the directory. Blocks for a moment; nothing is lost without it."""
        with self._appending:
            if self._tail is not None:
                # An empty log stays: its name keeps the position when all segments went.
                self._tail.end_log()
        self.engines.close()
        os.close(self._lock_fd)
