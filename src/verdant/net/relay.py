"""Relay: copy bytes both ways between two streams, until both are done.

Place     net; the balancer joins an upgraded connection to its backend with it.
Promise   half-close is kept: the end of one direction is passed on while the other goes on. When
          one side breaks, both end.
Not here  limits on idleness (the caller's `Timeout`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from verdant.core import spawn

if TYPE_CHECKING:
    from verdant.net.stream import Stream

__all__ = ["relay"]

# Bytes per receive: a whole burst of a socket buffer without a large allocation for each.
RECEIVE_BYTES = 64 * 1024


def relay(left: Stream, right: Stream) -> tuple[int, int]:
    """Copy until both directions have ended. Returns the bytes (left→right, right→left). Parks."""
    back = spawn(_copy, right, left, name="relay")
    try:
        forth = _copy(left, right)
        return forth, back.wait()
    except BaseException:
        back.cancel()
        raise


def _copy(source: Stream, target: Stream) -> int:
    total = 0
    try:
        while data := source.recv(RECEIVE_BYTES):
            target.sendall(data)
            total += len(data)
    except OSError:
        # The target is gone, so what the source still says has no reader: end both.
        source.abort()
        target.abort()
        return total
    target.send_eof()
    return total
