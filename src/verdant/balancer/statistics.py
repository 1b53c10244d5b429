"""Statistics: requests and bytes, counted by host.

Place     balancer. Each worker counts; the supervisor adds up what they tell.
Promise   counters belong to a host's name, not to its rule: a deploy loses none. Memory is
          bounded by the rules, never by what strangers write into Host.
Not here  the text page for metrics (api/metrics.py), the REST answer (management.py).

A request takes its host's `HostCounters` once and adds to plain attributes; that is all that the
request path pays. A host whose rule goes keeps its counters among the retired, in case the rule
comes back; the longest retired are given up first.

When a host was last asked for costs the request path nothing at all: `sweep` comes round every two
seconds, sees whose count has moved, and writes down the time.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from verdant.core import sleep

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

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
        "active_s",
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
        # The sweeper's: how many were completed when it last came by, and when it last saw a
        # difference (seconds since 1970; 0 for never).
        self.seen_requests = 0
        self.active_s = 0.0

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

    __slots__ = ("_forgotten", "_hosts", "_retired", "_since_s", "_touched", "others")

    def __init__(self) -> None:
        self.others = HostCounters()
        self._hosts: dict[bytes, HostCounters] = {}
        # In the order of their retirement.
        self._retired: dict[bytes, HostCounters] = {}
        # What those came to that were given up, for `totals`.
        self._forgotten = HostCounters()
        # When a rule was last set, by host; and since when nobody could have been missed.
        self._touched: dict[bytes, float] = {}
        self._since_s = time.time()

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
            self._touched.pop(key, None)
            counters = self._hosts.pop(key, None)
            if counters is not None:
                self._retired[key] = counters
        excess = len(self._retired) - RETIRED_HOSTS_MAX
        if excess > 0:
            for key in list(self._retired)[:excess]:
                _add(self._forgotten, self._retired.pop(key))
            # Nobody is left who would count these down.
            self._forgotten.open_requests = 0

    # When hosts were asked for

    def sweep(self) -> None:
        """Note the time for each host that was asked for since the last sweep. Parks."""
        now_s = time.time()
        all_counters = list(self._hosts.values())
        for start in range(0, len(all_counters), HOSTS_PER_SWEEP_PIECE):
            for counters in all_counters[start : start + HOSTS_PER_SWEEP_PIECE]:
                completed = counters.completed_requests
                if completed != counters.seen_requests or counters.open_requests:
                    counters.seen_requests = completed
                    counters.active_s = now_s
            sleep()

    def touch(self, hosts: Iterable[str], now_s: float) -> None:
        """The rules of these hosts were set: that is a sign of life too."""
        for host in hosts:
            self._touched[host.encode("ascii")] = now_s

    def touch_all(self, now_s: float) -> None:
        """More rules were set than are worth remembering one by one."""
        self._since_s = now_s
        self._touched.clear()

    def last_activity(self, host: str) -> float | None:
        """When a sweep last found requests of `host`, in seconds since 1970; None for never."""
        counters = self._hosts.get(host.encode("ascii"))
        return (counters.active_s or None) if counters is not None else None

    def idle_since(self, host: str) -> float:
        """The latest sign of life of `host`, at the earliest when counting began."""
        key = host.encode("ascii")
        counters = self._hosts.get(key)
        active_s = 0.0 if counters is None else counters.active_s
        if counters is not None and (
            counters.open_requests or counters.completed_requests != counters.seen_requests
        ):
            # The next sweep will find it; nobody should be put to sleep before that.
            active_s = time.time()
        return max(active_s, self._touched.get(key, 0.0), self._since_s)

    def counts(self, host: str) -> Counts:
        """The counters of one host; zeros when it has none."""
        counters = self._hosts.get(host.encode("ascii"))
        return (counters if counters is not None else HostCounters()).counts()

    def totals(self) -> Counts:
        """Everything that was ever counted, in one."""
        total = HostCounters()
        for counters in (*self._hosts.values(), *self._retired.values()):
            _add(total, counters)
        _add(total, self._forgotten)
        _add(total, self.others)
        return total.counts()

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
