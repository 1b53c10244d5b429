"""Relay: copy bytes both ways between two streams, until both are done.

Place     net; the balancer joins an upgraded connection to its backend with it.
Promise   half-close is kept: the end of one direction is passed on while the other goes on. When
          one side breaks, both end. Once one direction has ended, the other may be silent for
          `silent_s_max` and no longer: a peer that was killed looks like one that has said all.
Not here  limits on idleness while both directions are open (the caller's `Timeout`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from verdant.core import spawn
from verdant.sync import Event

if TYPE_CHECKING:
    from verdant.net.stream import Stream

__all__ = ["relay"]

# Bytes per receive: a whole burst of a socket buffer without a large allocation for each.
RECEIVE_BYTES = 64 * 1024
# Longer than any protocol is silent after the other side's last word, heartbeats included.
SILENT_S_MAX = 300.0


class _Direction:
    """One way: how much has passed, and whether it is over."""

    __slots__ = ("_source", "_target", "bytes", "over")

    def __init__(self, source: Stream, target: Stream) -> None:
        self._source = source
        self._target = target
        self.bytes = 0
        self.over = False

    def copy(self, ended: Event) -> None:
        source, target = self._source, self._target
        try:
            while data := source.recv(RECEIVE_BYTES):
                target.sendall(data)
                self.bytes += len(data)
            broke = source.broken
        except OSError:
            # The target is gone, so what the source still says has no reader.
            broke = True
        if broke:
            source.abort()
            target.abort()
        else:
            target.send_eof()
        self.over = True
        ended.set()


def relay(left: Stream, right: Stream, silent_s_max: float = SILENT_S_MAX) -> tuple[int, int]:
    """Copy until both directions have ended. Returns the bytes (left→right, right→left). Parks."""
    ended = Event()
    forth, back = _Direction(left, right), _Direction(right, left)
    copiers = [spawn(way.copy, ended, name="relay") for way in (forth, back)]
    try:
        ended.wait()
        other, copier = (back, copiers[1]) if forth.over else (forth, copiers[0])
        seen = -1
        while seen != other.bytes:
            seen = other.bytes
            if copier.join(silent_s_max):
                break
        else:
            left.abort()
            right.abort()
        for each in copiers:
            each.join()
    except BaseException:
        for each in copiers:
            each.cancel()
        raise
    return forth.bytes, back.bytes
