"""Ledger: what all workers have counted, added up.

Place     balancer, pure; crew.py writes what workers report, and reads it for the management API.
Promise   what a worker has reported survives it, but for its open requests, which ended with it.
          Memory is bounded by the rules and by `RETIRED_HOSTS_MAX`, as in statistics.py.
Not here  counting (statistics.py).

A report has, for each host that anything happened for, the requests that are open now and what was
completed, sent and received since the last report. Reports are differences so that one costs as
much as happened, not as much as there are hosts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from verdant.balancer.statistics import HostCounters, Statistics

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["Ledger", "Report"]

# open now; completed, bytes sent, bytes received since the last one.
Report = dict[str, tuple[int, int, int, int]]


class Ledger:
    """The sums, by host. Workers are told apart by any value that can be a key."""

    def __init__(self) -> None:
        self.totals = Statistics()
        self._open: dict[object, dict[str, int]] = {}

    def _counters(self, host: str) -> HostCounters:
        return self.totals.counters(b"" if host == "*" else host.encode("ascii"))

    def add(self, worker: object, report: Mapping[str, tuple[int, int, int, int]]) -> None:
        """Take a worker's report in. Does not park."""
        opened = self._open.setdefault(worker, {})
        for host, (open_now, completed, sent, received) in report.items():
            counters = self._counters(host)
            counters.open_requests += open_now - opened.get(host, 0)
            counters.completed_requests += completed
            counters.bytes_sent += sent
            counters.bytes_received += received
            if open_now:
                opened[host] = open_now
            else:
                opened.pop(host, None)

    def forget(self, worker: object) -> None:
        """A worker is gone, and its open requests with it. Does not park."""
        for host, open_then in self._open.pop(worker, {}).items():
            self._counters(host).open_requests -= open_then

    def retire(self, hosts: Iterable[str]) -> None:
        """The rules of these hosts are gone. Does not park."""
        self.totals.retire(host.encode("ascii") for host in hosts)
