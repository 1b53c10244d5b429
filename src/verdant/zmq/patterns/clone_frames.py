"""Clone frames: what a publisher and its subscribers say to each other.

Place     zmq/patterns, pure.
Promise   what is encoded decodes to the same; arbitrary frames give a message or a `BadFrames`.

    PUB    → SUB     mark · (kind, epoch, seq) · key · value       a change, or a beat (no key)
    DEALER → ROUTER  mark · (kind, request, epoch, seq, index)     what is missing?
    ROUTER → DEALER  mark · (kind, request, epoch, seq, index, parts) · key · value · ...

An answer is a part of a snapshot, or changes in order of which the last has the number `seq`; a
value that went is marked in front of each value: `+value` or `-`.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from verdant.zmq.errors import BadFrames
from verdant.zmq.frames import FrameLimits, check_frames
from verdant.zmq.patterns.replica import Change

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "KEY_BYTES_MAX",
    "PART_BYTES_MAX",
    "PART_ITEMS_MAX",
    "VALUE_BYTES_MAX",
    "Answer",
    "Ask",
    "answer_changes",
    "decode_answer",
    "decode_ask",
    "decode_update",
    "encode_answer",
    "encode_ask",
    "encode_beat",
    "encode_update",
]

MARK = b"VP1"
# A name of something.
KEY_BYTES_MAX = 1024
# A value goes to every subscriber as one frame; larger things belong in a file or a stream.
VALUE_BYTES_MAX = 1024 * 1024
# One answer: small enough that nobody else waits long behind it.
PART_ITEMS_MAX = 500
PART_BYTES_MAX = 256 * 1024

SET, DELETE, BEAT = 1, 2, 3
ASK_CHANGES, ASK_PART = 4, 5
CHANGES, PART, GONE = 6, 7, 8

_update = struct.Struct(">BQQ")
_ask = struct.Struct(">BQQQI")
_answer = struct.Struct(">BQQQII")

_UPDATE_LIMITS = FrameLimits(2, 4, 64 + KEY_BYTES_MAX + VALUE_BYTES_MAX, MARK)
_ASK_LIMITS = FrameLimits(2, 2, 64, MARK)
_ANSWER_LIMITS = FrameLimits(
    2, 2 + 2 * PART_ITEMS_MAX, 64 + PART_BYTES_MAX + KEY_BYTES_MAX + 1 + VALUE_BYTES_MAX, MARK
)


@dataclass(frozen=True, slots=True)
class Ask:
    """`index` None: changes after `seq`, else a snapshot's part 0. Otherwise that part."""

    request: int
    epoch: int
    seq: int
    index: int | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """`kind`: CHANGES, PART or GONE (the snapshot asked for is not kept any more)."""

    kind: int
    request: int
    epoch: int
    seq: int
    index: int = 0
    parts: int = 0
    items: tuple[tuple[bytes, bytes | None], ...] = ()


def _unpack(form: struct.Struct, frame: bytes) -> tuple[int, ...]:
    try:
        return form.unpack(frame)
    except struct.error as exc:
        raise BadFrames(f"a header of {len(frame)} bytes where {form.size} are due") from exc


def encode_update(change: Change) -> list[bytes]:
    """A change as it is published."""
    kind = DELETE if change.value is None else SET
    header = _update.pack(kind, change.epoch, change.seq)
    return [MARK, header, change.key, change.value or b""]


def encode_beat(epoch: int, seq: int) -> list[bytes]:
    """A sign of life: the latest change is `seq`."""
    return [MARK, _update.pack(BEAT, epoch, seq)]


def decode_update(frames: list[bytes]) -> Change | tuple[int, int]:
    """A change, or a beat's (epoch, seq). Raises `BadFrames`."""
    check_frames(frames, _UPDATE_LIMITS)
    kind, epoch, seq = _unpack(_update, frames[1])
    if kind == BEAT and len(frames) == 2:
        return epoch, seq
    if kind not in (SET, DELETE) or len(frames) != 4 or len(frames[2]) > KEY_BYTES_MAX:
        raise BadFrames(f"an update of kind {kind} in {len(frames)} frames is none")
    return Change(epoch, seq, frames[2], frames[3] if kind == SET else None)


def encode_ask(ask: Ask) -> list[bytes]:
    """A question."""
    kind = ASK_CHANGES if ask.index is None else ASK_PART
    return [MARK, _ask.pack(kind, ask.request, ask.epoch, ask.seq, ask.index or 0)]


def decode_ask(frames: list[bytes]) -> Ask:
    """The question in `frames`. Raises `BadFrames`."""
    check_frames(frames, _ASK_LIMITS)
    kind, request, epoch, seq, index = _unpack(_ask, frames[1])
    if kind not in (ASK_CHANGES, ASK_PART):
        raise BadFrames(f"there is no question of kind {kind}")
    return Ask(request, epoch, seq, index if kind == ASK_PART else None)


def encode_answer(answer: Answer) -> list[bytes]:
    """An answer."""
    header = _answer.pack(
        answer.kind, answer.request, answer.epoch, answer.seq, answer.index, answer.parts
    )
    frames = [MARK, header]
    for key, value in answer.items:
        frames += (key, b"-" if value is None else b"+" + value)
    return frames


def decode_answer(frames: list[bytes]) -> Answer:
    """The answer in `frames`. Raises `BadFrames`."""
    check_frames(frames, _ANSWER_LIMITS)
    kind, request, epoch, seq, index, parts = _unpack(_answer, frames[1])
    if kind not in (CHANGES, PART, GONE) or len(frames) % 2:
        raise BadFrames(f"an answer of kind {kind} in {len(frames)} frames is none")
    items: list[tuple[bytes, bytes | None]] = []
    for key, marked in zip(frames[2::2], frames[3::2], strict=True):
        if marked[:1] not in (b"+", b"-"):
            raise BadFrames("a value in an answer is marked by + or -")
        items.append((key, marked[1:] if marked[:1] == b"+" else None))
    if kind == CHANGES and len(items) > seq:
        raise BadFrames("an answer has more changes than there were")
    return Answer(kind, request, epoch, seq, index, parts, tuple(items))


def answer_changes(answer: Answer) -> Iterable[Change]:
    """The changes in an answer, each with its number."""
    first = answer.seq - len(answer.items) + 1
    for number, (key, value) in enumerate(answer.items, first):
        yield Change(answer.epoch, number, key, value)
