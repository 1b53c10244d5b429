"""Write-ahead log: batches on disk before they are acknowledged.

Place     logs/store. Blocking.
Promise   what `append` returned from is on disk. Damage costs the damaged record alone: reading
          goes on at the next mark. A torn end is dropped; it was never acknowledged.
Not here  what is in a batch (segment.py).

    record   ┌────────┬──────────┬────────┬──────────────┬──────────────────────┐
             │ "VWL1" │ length 4 │ CRC 4  │ header size 4│ header · body        │
             └────────┴──────────┴────────┴──────────────┴──────────────────────┘
             numbers little-endian; length counts header size, header and body, CRC32 covers them
"""

from __future__ import annotations

import os
import struct
import zlib
from typing import TYPE_CHECKING

import msgspec

from verdant.logs.codec import Batch, BatchId

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

__all__ = ["WAL_BYTES_MAX", "WalEntry", "WriteAheadLog", "find_damage", "read_wal"]

MARK = b"VWL1"
_FRAME = struct.Struct("<4sII")
_SIZE = struct.Struct("<I")

# Bounds the replay at the start: some two seconds.
WAL_BYTES_MAX = 32 * 1024 * 1024


class WalEntry(msgspec.Struct, frozen=True):
    """A batch, where its first line stands in the store, and when it came."""

    batch: Batch
    position: int
    received_ns: int


class _Header(msgspec.Struct, frozen=True, array_like=True):
    client: str
    epoch: int
    seq: int
    lines: int
    attempt: int
    position: int
    received_ns: int


def _encode(entry: WalEntry) -> bytes:
    batch = entry.batch
    header = msgspec.msgpack.encode(
        _Header(
            batch.id.client,
            batch.id.epoch,
            batch.id.seq,
            batch.lines,
            batch.attempt,
            entry.position,
            entry.received_ns,
        )
    )
    content = _SIZE.pack(len(header)) + header + batch.body
    return _FRAME.pack(MARK, len(content), zlib.crc32(content)) + content


def read_wal(path: Path) -> Iterator[WalEntry]:
    """Every sound record of a log, in order. Blocks."""
    return (entry for entry, _, _ in _records(path.read_bytes()))


def find_damage(path: Path) -> tuple[int, list[tuple[int, int]], int]:
    """Lines of a log's sound records, where it is damaged (from, to), and the bytes of a torn end.

    A torn end is what was being written when a process ended; it was never acknowledged. Blocks.
    """
    data = path.read_bytes()
    lines = reached = 0
    holes: list[tuple[int, int]] = []
    for entry, start, end in _records(data):
        lines += entry.batch.lines
        if start > reached:
            holes.append((reached, start))
        reached = end
    return lines, holes, len(data) - reached


def _records(data: bytes) -> Iterator[tuple[WalEntry, int, int]]:
    start = data.find(MARK)
    while start >= 0:
        entry, end = _decode(data, start)
        if entry is None:
            # Damaged or torn: the next mark that has a matching checksum is where it goes on.
            start = data.find(MARK, start + 1)
            continue
        yield entry, start, end
        start = data.find(MARK, end)


def _decode(data: bytes, start: int) -> tuple[WalEntry | None, int]:
    content_start = start + _FRAME.size
    if content_start > len(data):
        return None, start
    _, length, checksum = _FRAME.unpack_from(data, start)
    end = content_start + length
    content = data[content_start:end]
    if len(content) != length or length < _SIZE.size or zlib.crc32(content) != checksum:
        return None, start
    (size,) = _SIZE.unpack_from(content)
    header = msgspec.msgpack.decode(content[_SIZE.size : _SIZE.size + size], type=_Header)
    batch = Batch(
        BatchId(header.client, header.epoch, header.seq),
        header.lines,
        content[_SIZE.size + size :],
        header.attempt,
    )
    return WalEntry(batch, header.position, header.received_ns), end


class WriteAheadLog:
    """One file being written. `bytes_written` tells when to begin another."""

    def __init__(self, path: Path) -> None:
        self.path = path
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        self._fd = os.open(path, flags, 0o600)
        self.bytes_written = os.fstat(self._fd).st_size

    def append(self, entries: Iterable[WalEntry]) -> None:
        """Write and fdatasync all of `entries`. Blocks. Raises OSError; then none is kept."""
        data = b"".join(map(_encode, entries))
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(self._fd, view) :]
            os.fdatasync(self._fd)
        except OSError:
            os.ftruncate(self._fd, self.bytes_written)
            raise
        self.bytes_written += len(data)

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)
