"""Stream frames: what a producer and its consumer say to each other.

Place     zmq/patterns, pure.
Promise   arbitrary frames give a message or a `BadFrames`.

    DEALER → ROUTER  mark · (OPEN, stream, credit) · request
                     mark · (GRANT, stream, credit)         0: only a sign of life
                     mark · (CANCEL, stream, 0)
    ROUTER → DEALER  mark · (CHUNK, stream, number) · data
                     mark · (END | FAILED | HERE, stream, 0) · text
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from verdant.zmq.errors import BadFrames
from verdant.zmq.frames import REQUEST_BYTES_MAX, FrameLimits, check_frames

__all__ = [
    "CANCEL",
    "CHUNK",
    "CHUNK_BYTES_MAX",
    "END",
    "FAILED",
    "GRANT",
    "HERE",
    "OPEN",
    "StreamMessage",
    "decode_stream",
    "encode_stream",
]

MARK = b"VS1"
# A window of chunks waits in the consumer's memory: more chunks, not larger ones.
CHUNK_BYTES_MAX = 1024 * 1024

OPEN, GRANT, CANCEL, CHUNK, END, FAILED, HERE = range(1, 8)
_TO_PRODUCER = (OPEN, GRANT, CANCEL)

_header = struct.Struct(">BQQ")
_PRODUCER_LIMITS = FrameLimits(3, 3, 64 + REQUEST_BYTES_MAX, MARK)
_CONSUMER_LIMITS = FrameLimits(3, 3, 64 + CHUNK_BYTES_MAX, MARK)


class StreamMessage(NamedTuple):
    """`number`: credit to a producer, a chunk's number to a consumer."""

    kind: int
    stream: int
    number: int = 0
    data: bytes = b""


def encode_stream(message: StreamMessage) -> list[bytes]:
    """The frames of a message."""
    return [MARK, _header.pack(message.kind, message.stream, message.number), message.data]


def decode_stream(frames: list[bytes], *, to_producer: bool) -> StreamMessage:
    """The message in `frames`. Raises `BadFrames`, also for one that goes the other way."""
    check_frames(frames, _PRODUCER_LIMITS if to_producer else _CONSUMER_LIMITS)
    try:
        kind, stream, number = _header.unpack(frames[1])
    except struct.error as exc:
        raise BadFrames(f"a stream's header has {_header.size} bytes") from exc
    if not OPEN <= kind <= HERE or (kind in _TO_PRODUCER) != to_producer:
        raise BadFrames(f"a message of kind {kind} does not go this way")
    return StreamMessage(kind, stream, number, frames[2])
