"""Grams: a file beside a segment that says which pieces of text its messages cannot have.

Place     logs/store. Blocking.
Promise   `may_contain` is False only when no message of the segment has the text in it, whatever
          its case. A file that is missing or damaged says nothing, so that the segment is searched.

    ┌────────┬────────┬───────┬──────────────────────┐
    │ "VGR1" │ bits 4 │ CRC 4 │ 2**bits bits         │   numbers little-endian
    └────────┴────────┴───────┴──────────────────────┘

Each run of four bytes of the lowered messages sets two bits (a Bloom filter). Four, since almost
every run of three is somewhere in half a million lines. Made by Arrow's vectors: a loop in Python
over fifty megabytes of text would take the server's processor for a minute.
"""

from __future__ import annotations

import mmap
import re
import struct
import zlib
from typing import TYPE_CHECKING

import duckdb
import pyarrow as pa
import pyarrow.compute

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["build_grams", "check_grams", "may_contain"]

MARK = b"VGR1"
_HEADER = struct.Struct("<4sII")

# Per distinct run, so that one in forty runs that is not there seems to be.
BITS_PER_GRAM = 12
BITS_LOG2_MIN = 13
# Two megabytes: half a million lines of random text would set every bit of less.
BITS_LOG2_MAX = 24
# Text that is taken through the vectors at a time; each needs some thirty times its size.
CHUNK_BYTES = 2 * 1024 * 1024

_MULTIPLIERS = (2654435761, 2246822519)
_MASK = 0xFFFFFFFF
_ascii_runs = re.compile(r"[\x00-\x7f]{4,}").findall


def build_grams(messages: pa.ChunkedArray) -> bytes:
    """The file's content for these messages. Blocks."""
    grams = _distinct(messages)
    log2 = min(max(BITS_LOG2_MIN, (len(grams) * BITS_PER_GRAM).bit_length()), BITS_LOG2_MAX)
    places = pa.concat_arrays([_places(grams, multiplier, log2) for multiplier in _MULTIPLIERS])
    ones = pa.repeat(pa.scalar(1, pa.uint32()), 1 << log2)
    every_place = pa.compute.subtract(pa.compute.cumulative_sum(ones), pa.scalar(1, pa.uint32()))
    # A column of booleans is a row of bits: just what is wanted.
    is_set: pa.Array = pa.compute.is_in(every_place, value_set=places.unique())
    bits = bytes(is_set.buffers()[1])[: (1 << log2) // 8]
    return _HEADER.pack(MARK, log2, zlib.crc32(bits)) + bits


def _distinct(messages: pa.ChunkedArray) -> pa.Array:
    with duckdb.connect(":memory:") as connection:
        # Lowered by the engine that searches, so that both fold letters alike.
        connection.register("messages", pa.table({"msg": messages}))
        lowered = connection.sql("SELECT lower(msg) AS msg FROM messages").to_arrow_table()
    found = [pa.array([], pa.uint32())]
    for chunk in lowered["msg"].cast(pa.large_binary()).chunks:
        data = chunk.buffers()[2]
        if data is None:
            continue
        # Runs over the border of two messages are taken too: harmless, and simple.
        for start in range(0, data.size, CHUNK_BYTES):
            found.append(_runs(data, start, min(data.size, start + CHUNK_BYTES + 3)))
            if len(found) > 16:
                found = [pa.concat_arrays(found).unique()]
    return pa.concat_arrays(found).unique()


def _runs(data: pa.Buffer, start: int, end: int) -> pa.Array:
    count = end - start - 3
    if count <= 0:
        return pa.array([], pa.uint32())
    text = pa.Array.from_buffers(pa.uint8(), end - start, [None, data.slice(start, end - start)])
    runs = text.slice(0, count).cast(pa.uint32())
    for offset in (1, 2, 3):
        shifted = pa.compute.shift_left(
            text.slice(offset, count).cast(pa.uint32()), pa.scalar(8 * offset, pa.uint32())
        )
        runs = pa.compute.bit_wise_or(runs, shifted)
    return runs.unique()


def _places(grams: pa.Array, multiplier: int, log2: int) -> pa.Array:
    product = pa.compute.multiply(grams, pa.scalar(multiplier, pa.uint32()))
    return pa.compute.shift_right(product, pa.scalar(32 - log2, pa.uint32()))


def may_contain(path: Path, text: str) -> bool:
    """False when no message of the segment whose grams are at `path` has `text` in it. Blocks."""
    # Letters beyond ASCII may be folded in more than one way, so they are not asked for.
    runs = {
        run[start : start + 4]
        for run in (part.lower().encode() for part in _ascii_runs(text))
        for start in range(len(run) - 3)
    }
    if not runs:
        return True
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as bits:
            mark, log2, _ = _HEADER.unpack_from(bits)
            if mark != MARK or len(bits) != _HEADER.size + (1 << log2) // 8:
                return True
            return all(_is_set(bits, int.from_bytes(run, "little"), log2) for run in runs)
    except (OSError, ValueError, struct.error):
        return True


def _is_set(bits: mmap.mmap, gram: int, log2: int) -> bool:
    for multiplier in _MULTIPLIERS:
        place = ((gram * multiplier) & _MASK) >> (32 - log2)
        if not bits[_HEADER.size + (place >> 3)] >> (place & 7) & 1:
            return False
    return True


def check_grams(path: Path) -> str | None:
    """What is wrong with the file at `path`; None when it is whole. Blocks."""
    try:
        content = path.read_bytes()
        mark, log2, checksum = _HEADER.unpack_from(content)
    except (OSError, struct.error) as exc:
        return f"cannot be read ({exc})"
    bits = content[_HEADER.size :]
    if mark != MARK or log2 > BITS_LOG2_MAX or len(bits) != (1 << log2) // 8:
        return "is not a file of grams of version 1"
    return None if zlib.crc32(bits) == checksum else "is damaged (its checksum differs)"
