"""Statistics: requests and bytes, counted by host.

Place     balancer. Each worker counts; the supervisor adds up what they tell.
Promise   counters belong to a host's name, not to its rule: a deploy loses none. Memory is
          bounded by the rules, never by what strangers write into Host.
Not here  the text page for metrics (api/metrics.py), the REST answer (management.py).

A request takes its host's `HostCounters` once and adds to plain attributes; that is all that the
request path pays. A host whose rule goes keeps its counters among the retired, in case the rule
comes back; the longest retired are given up first.

When a host was last asked for costs the request path nothing at all: `sweep` comes round every two
seconds, sees whose count has moved, and says so (activity.py).
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from verdant.core import sleep

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

__all__ = ["OTHERS", "Counts", "HostCounters", "Statistics", "add_up"]

# The name for requests that no rule served. Not a host name, so no rule can bear it.
OTHERS = "*"

# Rules that go away and come back do so within a deploy; ten thousand deploys at once are plenty.
RETIRED_HOSTS_MAX = 10_000

# How many hosts a sweep looks at before others get their turn: about half a millisecond.
HOSTS_PER_SWEEP_PIECE = 5_000

Counts = dict[str, int]


class HostCounters:
    """The counters of one host. The request path adds to them directly."""

    __slots__ = (
        "bytes_received",
        "bytes_sent",
        "completed_requests",
        "open_requests",
        "seen_requests",
    )

    def __init__(self) -> None:
        self.open_requests = 0
        self.completed_requests = 0
        # To and from the client, heads included.
        self.bytes_sent = 0
        self.bytes_received = 0
        # The sweeper's: how many were completed when it last came by.
        self.seen_requests = 0

    def counts(self) -> Counts:
        """The four counters by name, as they are now."""
        return {
            "open_requests": self.open_requests,
            "completed_requests": self.completed_requests,
            "bytes_sent": self.bytes_sent,
            "bytes_received": self.bytes_received,
        }


class Statistics:
    """The counters of every host that has a rule, and of all others together.

    Use it from one native thread.
    """

    __slots__ = ("_forgotten", "_hosts", "_retired", "others")

    def __init__(self) -> None:
        self.others = HostCounters()
        self._hosts: dict[bytes, HostCounters] = {}
        # In the order of their retirement.
        self._retired: dict[bytes, HostCounters] = {}
        # What those came to that were given up, for `totals`.
        self._forgotten = HostCounters()

    def counters(self, key: bytes) -> HostCounters:
        """The counters for the key that routing gave: one dict lookup for a known host.

        Call it with keys of the rule table only; `NO_RULE_KEY` (b"") counts with the others.
        """
        found = self._hosts.get(key)
        return found if found is not None else self._adopt(key)

    def _adopt(self, key: bytes) -> HostCounters:
        if not key:
            return self.others
        counters = self._retired.pop(key, None) or HostCounters()
        self._hosts[key] = counters
        return counters

    def retire(self, keys: Iterable[bytes]) -> None:
        """The rules of these hosts are gone; keep their counters for a while."""
        for key in keys:
            counters = self._hosts.pop(key, None)
            if counters is not None:
                self._retired[key] = counters
        excess = len(self._retired) - RETIRED_HOSTS_MAX
        if excess > 0:
            for key in list(self._retired)[:excess]:
                _add(self._forgotten, self._retired.pop(key))
            # Nobody is left who would count these down.
            self._forgotten.open_requests = 0

    def sweep(self, moved: Callable[[list[str]], object]) -> None:
        """Tell `moved` the hosts that were asked for since the last sweep. Parks.

        It is called several times, in pieces that leave others their turn.
        """
        # Keys alone: a million pairs would be a million objects for the garbage collector.
        hosts = self._hosts
        keys = list(hosts)
        for start in range(0, len(keys), HOSTS_PER_SWEEP_PIECE):
            found = []
            for key in keys[start : start + HOSTS_PER_SWEEP_PIECE]:
                counters = hosts.get(key)
                if counters is None:
                    continue
                completed = counters.completed_requests
                if completed != counters.seen_requests or counters.open_requests:
                    counters.seen_requests = completed
                    found.append(key.decode("ascii"))
            moved(found)
            sleep()

    def has_moved(self, host: str) -> bool:
        """True when `host` was asked for since the last sweep."""
        counters = self._hosts.get(host.encode("ascii"))
        return counters is not None and (
            counters.open_requests > 0 or counters.completed_requests != counters.seen_requests
        )

    def counts(self, host: str) -> Counts:
        """The counters of one host; zeros when it has none."""
        counters = self._hosts.get(host.encode("ascii"))
        return (counters if counters is not None else HostCounters()).counts()

    def totals(self) -> Counts:
        """Everything that was ever counted, in one. Parks, so that a large table stops nobody."""
        # What there is now: a host that is given up meanwhile must not count twice.
        total = HostCounters()
        _add(total, self._forgotten)
        _add(total, self.others)
        all_counters = [*self._hosts.values(), *self._retired.values()]
        for start in range(0, len(all_counters), HOSTS_PER_SWEEP_PIECE):
            for counters in all_counters[start : start + HOSTS_PER_SWEEP_PIECE]:
                _add(total, counters)
            sleep()
        return total.counts()

    def first(self, count: int) -> tuple[dict[str, Counts], int]:
        """The counts of the `count` hosts asked for first, and how many others there are."""
        shown = islice(self._hosts.items(), count)
        found = {key.decode("ascii"): counters.counts() for key, counters in shown}
        return found, len(self._hosts) - len(found)

    def snapshot(self) -> dict[str, Counts]:
        """Counts by host, those of hosts with requests still open after their rule went included.

        The others stand under `OTHERS` once there were any.
        """
        counts = {key.decode("ascii"): counters.counts() for key, counters in self._hosts.items()}
        for key, counters in self._retired.items():
            if counters.open_requests:
                counts[key.decode("ascii")] = counters.counts()
        others = self.others.counts()
        if any(others.values()):
            counts[OTHERS] = others
        return counts


def _add(into: HostCounters, counters: HostCounters) -> None:
    into.open_requests += counters.open_requests
    into.completed_requests += counters.completed_requests
    into.bytes_sent += counters.bytes_sent
    into.bytes_received += counters.bytes_received


def add_up(snapshots: Iterable[Mapping[str, Mapping[str, int]]]) -> dict[str, Counts]:
    """Several workers' snapshots as one."""
    total: dict[str, Counts] = {}
    for snapshot in snapshots:
        for host, counts in snapshot.items():
            into = total.setdefault(host, HostCounters().counts())
            for name in into:
                into[name] += counts.get(name, 0)
    return total
