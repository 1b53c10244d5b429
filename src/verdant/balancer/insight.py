"""Insight: what requests came to, as those who ask the balancer see it.

Place     balancer; the rulebook is one, for the management API. Those who serve requests, or speak
          to them, are its `Observers`.
Promise   `refresh` first, and what is read then is no older than the call, as far as every worker
          answered within half a second; without it, a second old.
Not here  counting (statistics.py), adding up (ledger.py, crew_sums.py), HTTP (api/).
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from verdant.balancer.activity import Activity
    from verdant.balancer.statistics import Counts, Statistics

__all__ = ["Insight", "Observers"]


class Observers(Protocol):
    """Those who know what requests came to."""

    @property
    def totals(self) -> Statistics:
        """The counters of all processes together."""
        ...

    def refresh(self) -> None:
        """Bring `totals` up to date. Parks."""
        ...

    def has_moved(self, host: str) -> bool:
        """True when requests of `host` were seen that `tell_activity` was not told of."""
        ...

    def tell_activity(self, moved: Callable[[list[str]], object]) -> None:
        """Have `moved` hear of the hosts whose requests were seen, from now on."""
        ...

    def backends(self, host: str) -> list[dict[str, object]]:
        """What is known of each backend of a host's rule. Parks."""
        ...

    def held_by_host(self) -> dict[str, int]:
        """How many requests are held for each host that has some. Parks."""
        ...


class Insight:
    """What an operator may want to know of requests."""

    def __init__(self, observers: Observers, activity: Activity) -> None:
        self._observers = observers
        self.activity = activity
        observers.tell_activity(lambda hosts: activity.moved(hosts, time.time()))

    def refresh(self) -> None:
        """Have what is read from now on be no older than this call. Parks."""
        self._observers.refresh()

    def statistics(self) -> dict[str, Counts]:
        """Counters by host, as of now. Parks."""
        self._observers.refresh()
        return self._observers.totals.snapshot()

    def counts(self, host: str) -> Counts:
        """The counters of one host; zeros for one that had no request. Does not park."""
        return self._observers.totals.counts(host)

    def totals(self) -> Counts:
        """The counters of all hosts together; they never go back. Parks."""
        return self._observers.totals.totals()

    def first_counts(self, count: int) -> tuple[dict[str, Counts], int]:
        """The counters of some hosts, always the same ones, and how many others there are."""
        return self._observers.totals.first(count)

    def last_activity(self, host: str) -> float | None:
        """When a request of `host` was last seen, in seconds since 1970; None for never.

        Late by some seconds at most. Does not park.
        """
        return self.activity.last(host)

    def idle_since(self, host: str) -> float:
        """Since when nothing has asked for `host`, in seconds since 1970. Does not park.

        A rule that was set counts as activity, and so does the balancer's start: nobody knows what
        was before it.
        """
        if self._observers.has_moved(host):
            # It will be told; nobody should be put to sleep before that.
            return time.time()
        return self.activity.idle_since(host)

    def held_by_host(self) -> dict[str, int]:
        """How many requests are held for each host that has some. Parks."""
        return self._observers.held_by_host()
