"""Replica: numbered changes to a state, in order, and what is missing of them.

Place     zmq/patterns, pure. publisher.py keeps a History, subscriber.py a Replica.
Promise   a replica shows states that its publisher had, in the publisher's order; it skips none
          unless a snapshot replaces all. Whatever is lost on the way shows as `behind`.
Not here  frames (clone_frames.py), asking for what is missing (subscriber.py).

A publisher's life has an epoch (a random number), its changes are numbered from 1. A change that
is early waits for those before it; a change of another epoch means that the publisher started
again, and only a snapshot says what its state is now.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

__all__ = ["Change", "History", "Replica"]

# Early changes that wait while the ones before them are asked for; beyond it they are asked for
# too. At ten thousand changes a second this is what comes during an answer.
EARLY_COUNT_MAX = 4096


class Change(NamedTuple):
    """`key` became `value` (None: it went), as number `seq` in the publisher's life `epoch`."""

    epoch: int
    seq: int
    key: bytes
    value: bytes | None


class History:
    """A publisher's last changes, bounded in number and in bytes."""

    def __init__(self, count_max: int, bytes_max: int) -> None:
        self._count_max = count_max
        self._bytes_max = bytes_max
        self._changes: deque[Change] = deque()
        self._bytes = 0
        self._end = 0

    def add(self, change: Change) -> None:
        """Remember the next change, forget the oldest that has no room any more."""
        assert change.seq == self._end + 1, "changes are numbered without a gap"
        self._end = change.seq
        self._changes.append(change)
        self._bytes += _size(change)
        while self._changes and (
            len(self._changes) > self._count_max or self._bytes > self._bytes_max
        ):
            self._bytes -= _size(self._changes.popleft())

    def since(self, seq: int) -> list[Change] | None:
        """All changes after number `seq`, or None when some are forgotten or were never made."""
        missing = self._end - seq
        if missing < 0 or missing > len(self._changes):
            return None
        return [] if missing == 0 else list(self._changes)[-missing:]


def _size(change: Change) -> int:
    return len(change.key) + len(change.value or b"")


class Replica:
    """A subscriber's copy. `state` is for reading alone."""

    def __init__(self) -> None:
        self.state: dict[bytes, bytes] = {}
        self.epoch: int | None = None
        self.seq = 0
        # The latest that the publisher was heard to have.
        self._known: tuple[int, int] | None = None
        self._early: dict[int, Change] = {}
        self._early_epoch: int | None = None

    @property
    def behind(self) -> bool:
        """True when something is known to be missing, or nothing is known at all."""
        return self._known is None or self.epoch != self._known[0] or self.seq < self._known[1]

    def hear(self, epoch: int, seq: int) -> None:
        """The publisher says that its latest change is `seq`."""
        if self._known is None or self._known[0] != epoch or self._known[1] < seq:
            self._known = (epoch, seq)

    def offer(self, change: Change) -> list[Change]:
        """Take a change in; returns those that came into force, in order."""
        self.hear(change.epoch, change.seq)
        if change.epoch == self.epoch:
            if change.seq <= self.seq:
                return []
            if change.seq == self.seq + 1:
                self._apply(change)
                return [change, *self._catch_up()]
        self._keep(change)
        return []

    def load(self, epoch: int, seq: int, items: dict[bytes, bytes]) -> list[Change]:
        """Take a snapshot in; returns what it changed, then what came into force after it.

        The changes that it stands for have its own number. One that is older than what we have is
        ignored.
        """
        if epoch == self.epoch and seq <= self.seq:
            return []
        gone = [Change(epoch, seq, key, None) for key in self.state if key not in items]
        new = [
            Change(epoch, seq, key, value)
            for key, value in items.items()
            if self.state.get(key) != value
        ]
        self.state = dict(items)
        if self._known is None or self._known[0] != epoch:
            self._known = (epoch, seq)
        self.epoch, self.seq = epoch, seq
        return [*gone, *new, *self._catch_up()]

    def _apply(self, change: Change) -> None:
        self.seq = change.seq
        if change.value is None:
            self.state.pop(change.key, None)
        else:
            self.state[change.key] = change.value

    def _keep(self, change: Change) -> None:
        if change.epoch != self._early_epoch:
            self._early_epoch = change.epoch
            self._early.clear()
        if len(self._early) < EARLY_COUNT_MAX:
            self._early[change.seq] = change

    def _catch_up(self) -> list[Change]:
        if self._early_epoch != self.epoch or not self._early:
            return []
        applied = []
        while (following := self._early.pop(self.seq + 1, None)) is not None:
            self._apply(following)
            applied.append(following)
        # What a snapshot stands for already.
        self._early = {seq: change for seq, change in self._early.items() if seq > self.seq}
        return applied
