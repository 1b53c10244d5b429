"""Disk spool: batches on this machine's disk until a server has them on its own.

Place     logs/client, beside spool.py and with its calls; blocking where it says so.
Promise   what `append` returned from survives kill -9 and a power failure, and leaves the disk when
          it was acknowledged, not before. A batch keeps its identity (client, epoch, seq) for ever,
          also over restarts, so that one that is sent again is known. Where a reader stands in its
          files is written in one record with the lines that it read: both are there, or neither.
Not here  sending (shipper.py), reading files (tail.py).

    spool-NUMBER.log   records (spoolfile.py), the state first, so that older files can go

An acknowledgement is written and not synced: lost with the power, its batch is sent once more.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import threading
import time
from collections import OrderedDict
from pathlib import Path
from typing import TYPE_CHECKING

from verdant.core import run_in_worker
from verdant.logs.client.spool import BATCH_BYTES_GOAL, LINE_OVERHEAD_BYTES
from verdant.logs.client.spoolfile import (
    HEAD_BYTES,
    Acknowledged,
    Kept,
    Place,
    State,
    Where,
    decode_record,
    encode_record,
    read_records,
)
from verdant.logs.codec import BATCH_LINES_MAX, Batch, BatchId, compress
from verdant.logs.errors import SpoolUnusable
from verdant.logs.record import Record, encode_line

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from verdant.logs.client.spoolfile import Content

__all__ = ["DiskSpool", "Place"]

# A day's lines of a busy machine; the disk of whoever logs is not ours to fill.
SPOOL_BYTES_MAX = 1024 * 1024 * 1024
# Of `put`'s lines that wait in memory for the next batch.
GATHERED_BYTES_MAX = 16 * 1024 * 1024
# A file is unlinked as a whole, so small against the bound; large against a batch.
FILE_BYTES_GOAL = 8 * 1024 * 1024


class DiskSpool:
    """The spool in `directory`. `client`: who sends, for a directory that is not a spool yet.

    bytes_max: of all its files together; some batches (1 MiB each) at least.
    Safe to call from several native threads.
    Raises `SpoolUnusable`. Opening blocks.
    """

    def __init__(
        self, directory: str | Path, client: str, bytes_max: int = SPOOL_BYTES_MAX
    ) -> None:
        self.directory = Path(directory)
        self.client = client
        self.epoch = time.time_ns()
        self.places: dict[str, Place] = {}
        self.dropped = 0
        self._bytes_max = bytes_max
        self._file_bytes_goal = min(FILE_BYTES_GOAL, bytes_max // 8)
        self._state_bytes = 0
        # Guards what `put` and the sender share; nobody waits for the disk in it.
        self._lock = threading.Lock()
        self._gathered: list[bytes] = []
        self._gathered_bytes = 0
        self._dropped_untold = 0
        self._unacknowledged: OrderedDict[int, Where] = OrderedDict()
        self._untaken: OrderedDict[int, None] = OrderedDict()
        # Acknowledged, and not written down yet.
        self._acknowledged: list[int] = []
        self.bytes_used = 0
        # Held while writing: everything below.
        self._writing = threading.Lock()
        self._seq = 0
        self._file_bytes: dict[int, int] = {}
        self._fd = -1
        self._number = 0
        try:
            self._open()
        except OSError as exc:
            raise SpoolUnusable(
                f"cannot keep lines in {self.directory} ({exc.strerror}): make it writable for "
                "this user and free some space, or choose another directory"
            ) from exc

    def _open(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        self._lock_fd = os.open(self.directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC)
        try:
            fcntl.flock(self._lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as exc:
            os.close(self._lock_fd)
            raise SpoolUnusable(
                f"another process sends from {self.directory}: stop it, or choose another directory"
            ) from exc
        for path in sorted(self.directory.glob("spool-*.log")):
            self._number = int(path.stem.removeprefix("spool-"))
            self._file_bytes[self._number] = path.stat().st_size
            self.bytes_used += path.stat().st_size
            for content, where in read_records(path, self._number):
                self._replay(content, where)
        self._untaken = OrderedDict.fromkeys(self._unacknowledged)
        # Never behind what may be a torn record: a file of its own for this life.
        self._new_file()
        self._drop_files()

    def _replay(self, content: Content, where: Where) -> None:
        if isinstance(content, State):
            self.client, self.epoch = content.client, content.epoch
            self._seq = max(self._seq, content.seq)
            self.places = dict(content.places)
        elif isinstance(content, Acknowledged):
            self._unacknowledged.pop(content.seq, None)
        else:
            self._move(content.places)
            if content.seq >= 0:
                self._unacknowledged[content.seq] = where
                self._seq = max(self._seq, content.seq + 1)

    def _move(self, places: Mapping[str, Place | None]) -> None:
        for key, place in places.items():
            if place is None:
                self.places.pop(key, None)
            else:
                self.places[key] = place

    def _path(self, number: int) -> Path:
        return self.directory / f"spool-{number:020d}.log"

    def _new_file(self) -> None:
        """Go on in another file, which begins with the state. Raises OSError; then in the old."""
        number = self._number + 1
        path = self._path(number)
        state = encode_record(State(self.client, self.epoch, self._seq, self.places))
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
        fd = os.open(path, flags, 0o600)
        try:
            _write_all(fd, state)
            os.fdatasync(fd)
            _sync_directory(self.directory)
        except BaseException:
            # Without its state it must not outlive the older ones.
            os.close(fd)
            path.unlink()
            raise
        if self._fd >= 0:
            os.close(self._fd)
        self._fd, self._number = fd, number
        self._file_bytes[number] = self._state_bytes = len(state)
        self.bytes_used += len(state)

    def _write(self, content: Content, *, sync: bool = True) -> Where:
        """Write a record at the end. Blocks. Raises OSError; what is torn then is passed over."""
        data = encode_record(content)
        try:
            _write_all(self._fd, data)
            if sync:
                os.fdatasync(self._fd)
        finally:
            end = os.fstat(self._fd).st_size
            self.bytes_used += end - self._file_bytes[self._number]
            self._file_bytes[self._number] = end
        return Where(self._number, end - len(data) + HEAD_BYTES, len(data) - HEAD_BYTES)

    def has_room(self, line_bytes: int) -> bool:
        """True when a line of so many bytes, and what is added to it, would be taken in."""
        needed = 2 * line_bytes + LINE_OVERHEAD_BYTES
        return (
            self.bytes_used + self._gathered_bytes + needed <= self._bytes_max
            and self._gathered_bytes + needed <= GATHERED_BYTES_MAX
        )

    def append(self, lines: Sequence[bytes], places: Mapping[str, Place | None]) -> bool:
        """Keep encoded `lines` as one batch, and how far files are read with them. Blocks.

        lines: at most `BATCH_LINES_MAX`, together at most `BATCH_BYTES_MAX`; none are fine.
        Returns False when they do not fit: then nothing has changed. Raises OSError likewise.
        """
        body = compress(b"".join(lines)) if lines else b""
        with self._writing:
            self._write_acknowledged()
            full = bool(lines) and self.bytes_used + len(body) > self._bytes_max
            # Also when full: what is acknowledged in this file can go when it is not the last.
            if full or self._file_bytes[self._number] >= self._file_bytes_goal:
                if self._file_bytes[self._number] > self._state_bytes:
                    self._new_file()
                    self._drop_files()
                if lines and self.bytes_used + len(body) > self._bytes_max:
                    return False
            seq = self._seq if lines else -1
            where = self._write(Kept(seq, len(lines), body, dict(places)))
            self._move(places)
            if lines:
                self._seq += 1
                with self._lock:
                    self._unacknowledged[seq] = where
                    self._untaken[seq] = None
        return True

    def put(self, record: Record) -> bool:
        """Take a record in. Returns False when there was no room: it is counted and gone.

        Never waits and never raises. It is on disk with the next batch (`take`), some 0.1 s later.
        """
        line = encode_line(record)
        with self._lock:
            if not self.has_room(len(line) // 2):
                self.dropped += 1
                self._dropped_untold += 1
                return False
            self._gathered.append(line)
            self._gathered_bytes += len(line)
            return True

    def take(self) -> Batch | None:
        """The next batch that is to be sent, or None. Parks while the disk works."""
        if self._gathered or self._dropped_untold:
            run_in_worker(self._keep_gathered)
        elif self._acknowledged:
            run_in_worker(self._settle)
        with self._lock:
            if not self._untaken:
                return None
            seq, _ = self._untaken.popitem(last=False)
            where = self._unacknowledged[seq]
        batch: Batch | None = run_in_worker(self._load, seq, where)
        return batch

    def _keep_gathered(self) -> None:
        with self._lock:
            count = size = 0
            for line in self._gathered:
                if count >= BATCH_LINES_MAX - 1 or (count and size + len(line) > BATCH_BYTES_GOAL):
                    break
                count += 1
                size += len(line)
            lines, untold = self._gathered[:count], self._dropped_untold
        if untold:
            lines.append(self._tell_dropped(untold))
        try:
            kept = self.append(lines, {})
        except OSError:
            # A full disk: they wait in memory, within its bound.
            return
        if kept:
            with self._lock:
                del self._gathered[:count]
                self._gathered_bytes -= size
                self._dropped_untold -= untold

    def _tell_dropped(self, count: int) -> bytes:
        return encode_line(
            Record(
                time.time_ns(),
                "verdant",
                socket.gethostname(),
                "WARNING",
                f"{count} lines of {self.client} were dropped: the spool's {self._bytes_max} bytes "
                "were full while no log server took batches",
                {"dropped": count, "client": self.client},
            )
        )

    def _load(self, seq: int, where: Where) -> Batch | None:
        fd = os.open(self._path(where.number), os.O_RDONLY | os.O_CLOEXEC)
        try:
            content = decode_record(os.pread(fd, where.length, where.offset))
        finally:
            os.close(fd)
        if not isinstance(content, Kept):
            raise SpoolUnusable(f"{self._path(where.number)} was changed by somebody else")
        return Batch(BatchId(self.client, self.epoch, seq), content.lines, content.body)

    def forget(self, seq: int) -> bool:
        """Let go of an acknowledged batch. Returns False when it was gone already.

        Does not block: the disk hears of it with the next `take` or `append`.
        """
        with self._lock:
            if self._unacknowledged.pop(seq, None) is None:
                return False
            self._untaken.pop(seq, None)
            self._acknowledged.append(seq)
        return True

    def _settle(self) -> None:
        with self._writing:
            self._write_acknowledged()

    def _write_acknowledged(self) -> None:
        with self._lock:
            settled, self._acknowledged = self._acknowledged, []
        if not settled:
            return
        # A full disk: forgotten only in memory. After a restart it is sent again, and known there.
        with contextlib.suppress(OSError):
            for seq in settled:
                self._write(Acknowledged(seq), sync=False)
        self._drop_files()

    def _drop_files(self) -> None:
        """Unlink the files of which nothing waits any more."""
        with self._lock:
            needed = {where.number for where in self._unacknowledged.values()}
        for number in [n for n in self._file_bytes if n != self._number and n not in needed]:
            self._path(number).unlink(missing_ok=True)
            self.bytes_used -= self._file_bytes.pop(number)

    def unacknowledged(self) -> list[int]:
        """The numbers of batches that nobody has acknowledged, oldest first."""
        with self._lock:
            return list(self._unacknowledged)

    @property
    def empty(self) -> bool:
        """True when everything that came in was acknowledged."""
        with self._lock:
            return not self._gathered and not self._unacknowledged

    def close(self) -> None:
        """Keep what was gathered, and let go of the directory. Blocks for a moment."""
        while self._gathered:
            before = len(self._gathered)
            self._keep_gathered()
            if len(self._gathered) == before:
                break
        with self._writing:
            self._write_acknowledged()
            os.close(self._fd)
            os.close(self._lock_fd)


def _write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def _sync_directory(directory: Path) -> None:
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
