"""Codec: a batch of lines to frames and back.

Place     logs, pure.
Promise   `decode_batch(encode_batch(...))` gives back what went in; arbitrary frames give a
          `BadBatch` and nothing else. The body stays compressed bytes: nobody on the way parses.

    DEALER → ROUTER   "VB1" · header (msgpack) · zstd(JSON lines)
    ROUTER → DEALER   "VA1" · acknowledgement (msgpack)
"""

from __future__ import annotations

from typing import Literal

import msgspec
import zstandard

from verdant.logs.errors import BadBatch

__all__ = [
    "BATCH_BYTES_MAX",
    "BATCH_LINES_MAX",
    "Ack",
    "Batch",
    "BatchId",
    "compress",
    "decode_ack",
    "decode_batch",
    "decompress",
    "encode_ack",
    "encode_batch",
]

BATCH_MARK = b"VB1"
ACK_MARK = b"VA1"

# Lines of one batch together, uncompressed: a few milliseconds of parsing.
BATCH_BYTES_MAX = 4 * 1024 * 1024
BATCH_LINES_MAX = 10_000


class BatchId(msgspec.Struct, frozen=True, array_like=True):
    """Who sent it, in which of its lives, and which of its batches: unique for ever."""

    client: str
    epoch: int
    seq: int


class _Header(msgspec.Struct, frozen=True, array_like=True):
    client: str
    epoch: int
    seq: int
    lines: int
    attempt: int


class Batch(msgspec.Struct, frozen=True):
    """`body`: zstd of `lines` JSON lines. `attempt`: 0 when it was never sent before."""

    id: BatchId
    lines: int
    body: bytes
    attempt: int = 0


Status = Literal["stored", "duplicate", "refused", "busy"]


class Ack(msgspec.Struct, frozen=True, array_like=True):
    """A server's word on one batch; refused is for ever, busy is for now."""

    client: str
    epoch: int
    seq: int
    status: Status
    detail: str = ""


_pack = msgspec.msgpack.Encoder().encode
_unpack_header = msgspec.msgpack.Decoder(_Header).decode
_unpack_ack = msgspec.msgpack.Decoder(Ack).decode

# Level 1: the shipper shares a processor with the program that it serves.
_ZSTD_LEVEL = 1


def compress(lines: bytes) -> bytes:
    """zstd of `lines`, with their size in its header."""
    return zstandard.ZstdCompressor(level=_ZSTD_LEVEL).compress(lines)


def decompress(body: bytes) -> bytes:
    """The lines in `body`. Raises `BadBatch`, also for more than `BATCH_BYTES_MAX`."""
    try:
        size = zstandard.get_frame_parameters(body).content_size
        if size > BATCH_BYTES_MAX:
            raise BadBatch(f"the batch is over {BATCH_BYTES_MAX} bytes, or does not say its size")
        return zstandard.ZstdDecompressor().decompress(body, max_output_size=BATCH_BYTES_MAX)
    except zstandard.ZstdError as exc:
        raise BadBatch(f"the batch is not zstd ({exc})") from exc


def encode_batch(batch: Batch) -> list[bytes]:
    """The frames of a batch."""
    header = _Header(batch.id.client, batch.id.epoch, batch.id.seq, batch.lines, batch.attempt)
    return [BATCH_MARK, _pack(header), batch.body]


def decode_batch(frames: list[bytes]) -> Batch:
    """The batch in `frames`; its body is not looked into. Raises `BadBatch`."""
    if len(frames) != 3 or frames[0] != BATCH_MARK:
        raise BadBatch("these frames are not a batch of version 1")
    try:
        header = _unpack_header(frames[1])
    except (msgspec.DecodeError, ValueError, RecursionError) as exc:
        raise BadBatch(f"the batch's header cannot be read ({exc})") from exc
    if not 0 < header.lines <= BATCH_LINES_MAX or min(header.epoch, header.seq) < 0:
        raise BadBatch(f"a batch has 1 to {BATCH_LINES_MAX} lines, and numbers from 0 up")
    if max(header.epoch, header.seq) >= 1 << 62 or len(header.client) > 256:
        raise BadBatch("the batch's identity is out of bounds")
    if len(frames[2]) > BATCH_BYTES_MAX:
        raise BadBatch(f"the batch is over {BATCH_BYTES_MAX} bytes")
    batch_id = BatchId(header.client, header.epoch, header.seq)
    return Batch(batch_id, header.lines, frames[2], header.attempt)


def encode_ack(batch_id: BatchId, status: Status, detail: str = "") -> list[bytes]:
    """The frames of an acknowledgement."""
    return [ACK_MARK, _pack(Ack(batch_id.client, batch_id.epoch, batch_id.seq, status, detail))]


def decode_ack(frames: list[bytes]) -> Ack:
    """The acknowledgement in `frames`. Raises `BadBatch`."""
    if len(frames) != 2 or frames[0] != ACK_MARK:
        raise BadBatch("these frames are not an acknowledgement of version 1")
    try:
        return _unpack_ack(frames[1])
    except (msgspec.DecodeError, ValueError, RecursionError) as exc:
        raise BadBatch(f"the acknowledgement cannot be read ({exc})") from exc
