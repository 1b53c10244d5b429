"""Change feed: the latest changes of the rules, numbered, for whoever follows them.

Place     balancer; the rulebook appends, api/events.py and publisher.py follow.
Promise   a follower gets every change after the one that it names, in order and once; where that
          is not possible any more it gets a `Gap` instead, and never a change that looks like the
          next one and is not. A follower that does not read costs nothing but its place.
Not here  how changes travel.

    append ──▶ [41][42][43][44]      the latest CHANGES_KEPT_MAX, shared by all followers
                     ▲     └─ one that follows
                     └─ one that lags; overtaken by the end of the list, it gets a Gap

A queue for each follower would need a bound for each, and a slow one would fill it: here a
follower is a position in one list.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from verdant.core import WaitQueue

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from verdant.balancer.rules import Rule

__all__ = ["HOSTS_TOLD_MAX", "Change", "ChangeFeed", "Gap"]

# A follower that was away for as many deploys reads the whole table sooner than all of these.
CHANGES_KEPT_MAX = 10_000
# Of one change. Beyond it followers are told to read the table, which costs them no more.
HOSTS_TOLD_MAX = 1_000
# In all changes that are kept: a rule takes about a kilobyte while it is kept here.
HOSTS_KEPT_MAX = 100_000


@dataclass(frozen=True, slots=True)
class Change:
    """One change. `after` is the version before it; `by` says who asked.

    put, deleted: None when there were more than `HOSTS_TOLD_MAX`.
    """

    version: int
    after: int
    put: Mapping[str, Rule] | None
    deleted: tuple[str, ...] | None
    by: str
    time_s: float

    @property
    def hosts_count(self) -> int:
        """How many hosts it names."""
        return len(self.put or ()) + len(self.deleted or ())


@dataclass(frozen=True, slots=True)
class Gap:
    """Changes up to `version` cannot be told; read the table, then go on from there."""

    version: int
    reason: str


class ChangeFeed:
    """The changes since the balancer started. Use it from one hub."""

    def __init__(self, version: int) -> None:
        # Of the table now; the change that leads to it may be kept or not.
        self.version = version
        self._kept: deque[Change] = deque()
        self._dropped_count = 0
        self._hosts_count = 0
        # Changes after this version are all kept.
        self._complete_after = version
        self._line = WaitQueue()

    def append(self, change: Change) -> None:
        """Take a change in, and wake who follows. Does not park."""
        self._kept.append(change)
        self._hosts_count += change.hosts_count
        self.version = change.version
        while len(self._kept) > CHANGES_KEPT_MAX or self._hosts_count > HOSTS_KEPT_MAX:
            oldest = self._kept.popleft()
            self._hosts_count -= oldest.hosts_count
            self._complete_after = oldest.version
            self._dropped_count += 1
        self._line.wake_all()

    def skip_to(self, version: int) -> None:
        """Numbers up to `version` were used for nothing. Does not park."""
        self.version = version

    def since(self, version: int) -> list[Change] | None:
        """The changes after `version`; None when they are not all here. Does not park."""
        start = self._position_after(version)
        if start is None:
            return None
        kept = self._kept
        return [kept[i] for i in range(start - self._dropped_count, len(kept))]

    def follow(
        self, after: int | None = None, pause_s: float | None = None
    ) -> Iterator[Change | Gap | None]:
        """Every change after version `after` (None: from now on), without end. Parks.

        Yields None when nothing has come for `pause_s` seconds.
        """
        position = self._end if after is None else self._position_after(after)
        if position is None:
            yield Gap(self.version, "the changes after that one are not kept any more")
            position = self._end
        while True:
            if position < self._dropped_count:
                position = self._end
                yield Gap(self.version, "you read more slowly than changes came")
            elif position < self._end:
                change = self._kept[position - self._dropped_count]
                position += 1
                if change.put is None:
                    yield Gap(change.version, f"one change had over {HOSTS_TOLD_MAX} hosts")
                else:
                    yield change
            elif not self._line.wait_in_time(pause_s):
                yield None

    @property
    def _end(self) -> int:
        return self._dropped_count + len(self._kept)

    def _position_after(self, version: int) -> int | None:
        if version < self._complete_after or version > self.version:
            return None
        # From the end: who comes back was mostly away for a moment.
        position = self._end
        for change in reversed(self._kept):
            if change.version <= version:
                break
            position -= 1
        return position
