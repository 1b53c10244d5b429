"""Spool file: what a disk spool writes, as records that can be told from torn ones.

Place     logs/client. Reads files; writing and meaning are diskspool.py's.
Promise   a damaged or torn record costs itself: reading goes on at the next mark with a matching
          checksum.

    record   ┌────────┬──────────┬────────┬─────────────────────────┐
             │ "VSP1" │ length 4 │ CRC 4  │ content (msgpack)       │
             └────────┴──────────┴────────┴─────────────────────────┘
    content  state: identity, next seq, all places · batch: seq, lines, changed places · ack: seq
"""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING, NamedTuple

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = [
    "HEAD_BYTES",
    "Acknowledged",
    "Content",
    "Kept",
    "Place",
    "State",
    "Where",
    "decode_record",
    "encode_record",
    "read_records",
]

MARK = b"VSP1"
_FRAME = struct.Struct("<4sII")
# Of a record, before its content.
HEAD_BYTES = _FRAME.size


class Place(msgspec.Struct, frozen=True, array_like=True):
    """How far a file was read. `head`: a hash of its first `head_bytes` bytes, as hex."""

    path: str
    head_bytes: int
    head: str
    offset: int
    # Since when the path is read, in ns: what was rotated away before is none of ours.
    since_ns: int


class State(msgspec.Struct, frozen=True, array_like=True, tag="s"):
    """Who writes this spool, and where it stands."""

    client: str
    epoch: int
    seq: int
    places: dict[str, Place]


class Kept(msgspec.Struct, frozen=True, array_like=True, tag="b"):
    """A batch, and how far files were read with it. `seq` -1: no lines, only places."""

    seq: int
    lines: int
    body: bytes
    places: dict[str, Place | None]


class Acknowledged(msgspec.Struct, frozen=True, array_like=True, tag="a"):
    """A server has this batch."""

    seq: int


Content = State | Kept | Acknowledged

_encode = msgspec.msgpack.Encoder().encode
decode_record = msgspec.msgpack.Decoder(State | Kept | Acknowledged).decode


class Where(NamedTuple):
    """Where a record's content stands: in which file, from which byte, how long."""

    number: int
    offset: int
    length: int


def encode_record(content: Content) -> bytes:
    """The record that says `content`."""
    payload = _encode(content)
    return _FRAME.pack(MARK, len(payload), zlib.crc32(payload)) + payload


def read_records(path: Path, number: int) -> Iterator[tuple[Content, Where]]:
    """Every sound record of a file, in order. Blocks."""
    data = path.read_bytes()
    start = data.find(MARK)
    while start >= 0:
        begin = start + _FRAME.size
        following = start + 1
        if begin <= len(data):
            _, length, checksum = _FRAME.unpack_from(data, start)
            payload = data[begin : begin + length]
            if len(payload) == length and zlib.crc32(payload) == checksum:
                yield decode_record(payload), Where(number, begin, length)
                following = begin + length
        # Behind a torn or damaged record: the next mark with a matching checksum.
        start = data.find(MARK, following)
