"""Activity: when each host was last asked for.

Place     balancer, pure. Whoever sums up counters says which hosts have moved; the rulebook says
          whose rule was set.
Promise   `idle_since` is never earlier than the truth: a host that may have been asked for, because
          it was just deployed or because nobody was counting yet, does not count as asleep.
Not here  counting (statistics.py); putting to sleep (whoever reads GET /v1/hosts?inactive_since=).

The request path pays nothing for this: it counts, and every other second somebody looks whose
count has moved.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Activity"]


class Activity:
    """Times in seconds since 1970, by host. Use it from one native thread."""

    __slots__ = ("_active", "_since_s", "_touched")

    def __init__(self, now_s: float) -> None:
        self._active: dict[str, float] = {}
        # When a rule was last set; and since when nobody could have been missed.
        self._touched: dict[str, float] = {}
        self._since_s = now_s

    def moved(self, hosts: Iterable[str], now_s: float) -> None:
        """Requests of these hosts were seen."""
        self._active.update(dict.fromkeys(hosts, now_s))

    def touch(self, hosts: Iterable[str], now_s: float) -> None:
        """The rules of these hosts were set: that is a sign of life too."""
        self._touched.update(dict.fromkeys(hosts, now_s))

    def touch_all(self, now_s: float) -> None:
        """More rules were set than are worth remembering one by one."""
        self._since_s = now_s
        self._touched.clear()

    def forget(self, hosts: Iterable[str]) -> None:
        """The rules of these hosts are gone."""
        for host in hosts:
            self._touched.pop(host, None)
            self._active.pop(host, None)

    def last(self, host: str) -> float | None:
        """When requests of `host` were last seen; None for never."""
        return self._active.get(host)

    def idle_since(self, host: str) -> float:
        """The latest sign of life of `host`, at the earliest when counting began."""
        return max(self._active.get(host, 0.0), self._touched.get(host, 0.0), self._since_s)
