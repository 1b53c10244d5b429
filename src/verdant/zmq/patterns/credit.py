"""Credit: how much a producer may send before its consumer says more.

Place     zmq/patterns, pure. stream_server.py spends, stream_client.py grants.
Promise   what was granted and neither spent nor taken is never more than the window, so a consumer
          needs room for that many chunks and no more; a consumer that takes all it gets keeps the
          producer going. A peer that breaks this is a `BadFrames`.
Not here  waiting for credit, frames.

    consumer  Window(16) ── grants 16 ──▶ Credit(16)  producer
              takes 8    ── grants  8 ──▶ 8 more chunks
"""

from __future__ import annotations

from verdant.zmq.errors import BadFrames

__all__ = ["CREDIT_MAX", "Credit", "Window"]

# Chunks that a consumer may ask for in advance. They wait in its memory, each as large as a chunk
# may be, and a window that hides one second's round trip at a hundred chunks a second is plenty.
CREDIT_MAX = 1024


class Credit:
    """The producer's side: chunks it may still send."""

    __slots__ = ("left",)

    def __init__(self, granted: int) -> None:
        self.left = 0
        self.grant(granted)

    def grant(self, count: int) -> None:
        """Allow `count` more. Raises `BadFrames` for more than `CREDIT_MAX` at once."""
        if count < 0 or self.left + count > CREDIT_MAX:
            raise BadFrames(f"a stream has 0 to {CREDIT_MAX} chunks of credit, not {count} more")
        self.left += count

    def spend(self) -> None:
        """Send one. Our own mistake when there is none."""
        assert self.left > 0, "a chunk without credit"
        self.left -= 1


class Window:
    """The consumer's side: what it granted, and in what order chunks must come."""

    __slots__ = ("_arrived", "_size", "_taken", "_ungranted")

    def __init__(self, size: int) -> None:
        if not 1 <= size <= CREDIT_MAX:
            raise ValueError(f"a window has 1 to {CREDIT_MAX} chunks, not {size}")
        self._size = size
        self._arrived = 0
        self._taken = 0
        self._ungranted = 0

    def arrive(self, number: int) -> None:
        """A chunk came. Raises `BadFrames` when it is not the next one, or has no credit."""
        if number != self._arrived:
            raise BadFrames(f"chunk {number} of a stream came where {self._arrived} is next")
        if self._arrived - self._taken >= self._size - self._ungranted:
            raise BadFrames("a producer sent more than it was granted")
        self._arrived += 1

    def take(self) -> int:
        """The consumer took one; returns how many to grant now, 0 for none yet."""
        assert self._taken < self._arrived, "a chunk that never came"
        self._taken += 1
        self._ungranted += 1
        # Half a window at a time: a grant per chunk would double the messages.
        if self._ungranted * 2 < self._size:
            return 0
        count, self._ungranted = self._ungranted, 0
        return count
