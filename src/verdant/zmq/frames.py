"""Frames: is a message from a stranger what this port takes?

Place     zmq, pure. Every ZeroMQ port that Verdant opens asks here before it looks inside.
Promise   arbitrary frames give the frames back or a `BadFrames`, and nothing else.
Not here  what the frames mean (whoever opened the port), who sent them (zap.py).

libzmq itself bounds one frame (`MAXMSGSIZE`, it then drops the connection); the number of frames
and their sum it does not bound, so a port checks those.
"""

from __future__ import annotations

from dataclasses import dataclass

from verdant.zmq.errors import BadFrames

__all__ = ["REQUEST_BYTES_MAX", "FrameLimits", "check_frames"]

# A question, a grant, a subscription: kilobytes. What carries data names a limit of its own.
REQUEST_BYTES_MAX = 64 * 1024


@dataclass(frozen=True, slots=True)
class FrameLimits:
    """How a port's messages look: `count_min` to `count_max` frames, `bytes_max` together.

    `mark`: what the first frame must be; None when it is free.
    """

    count_min: int
    count_max: int
    bytes_max: int
    mark: bytes | None = None

    def __post_init__(self) -> None:
        """Refuses limits that no message could keep."""
        if not 1 <= self.count_min <= self.count_max or self.bytes_max < 0:
            raise ValueError("a message has one frame or more, and its limits are in order")


def check_frames(frames: list[bytes], limits: FrameLimits) -> list[bytes]:
    """`frames`, when they are within `limits`. Raises `BadFrames`. Does not park."""
    if not limits.count_min <= len(frames) <= limits.count_max:
        wanted = (
            f"{limits.count_min}"
            if limits.count_min == limits.count_max
            else f"{limits.count_min} to {limits.count_max}"
        )
        raise BadFrames(f"a message here has {wanted} frames, this one has {len(frames)}")
    size = sum(map(len, frames))
    if size > limits.bytes_max:
        raise BadFrames(f"a message here has at most {limits.bytes_max} bytes, this one has {size}")
    if limits.mark is not None and frames[0] != limits.mark:
        shown = bytes(frames[0][:16])
        raise BadFrames(f"a message here begins with {limits.mark!r}, this one with {shown!r}")
    return frames
