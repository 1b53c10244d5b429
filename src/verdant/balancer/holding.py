"""Holding: requests that wait for their host to get another rule.

Place     balancer; actions/spin.py waits here, the rulebook reports changes.
Promise   the waiter is in line before the state is looked at again, so no change is missed; a
          change wakes everybody it concerns at once, in order. At most `held_requests_max` wait in
          all and `held_per_host_max` per host. Those released run at most `RELEASED_AT_ONCE` at a
          time per host: a site that just woke is not run over.
Not here  what wakes the site (wake.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from verdant.core import WaitQueue
from verdant.sync import Semaphore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["HeldHost", "Holding"]

# An application server that just started has a backlog of 5 to 128 connections.
RELEASED_AT_ONCE = 64


class HeldHost:
    """Those who wait for one host, and those of them that were released and still run."""

    __slots__ = ("held", "line", "release", "users")

    def __init__(self) -> None:
        self.line = WaitQueue()
        self.release = Semaphore(RELEASED_AT_ONCE)
        self.held = 0
        self.users = 0


class Holding:
    """The held requests of a worker. `on_first_held(host)` is called when a host's first comes."""

    def __init__(
        self,
        held_requests_max: int,
        held_per_host_max: int,
        on_first_held: Callable[[bytes], None],
    ) -> None:
        self._held_requests_max = held_requests_max
        self._held_per_host_max = held_per_host_max
        self._on_first_held = on_first_held
        self._hosts: dict[bytes, HeldHost] = {}
        self.held = 0

    def enter(self, host: bytes) -> HeldHost | None:
        """Take a place among those held for `host`, or None when there is no room."""
        group = self._hosts.get(host)
        if self.held >= self._held_requests_max:
            return None
        if group is None:
            group = self._hosts[host] = HeldHost()
        elif group.held >= self._held_per_host_max:
            return None
        first = group.held == 0
        group.held += 1
        group.users += 1
        self.held += 1
        if first:
            self._on_first_held(host)
        return group

    def released(self, group: HeldHost) -> None:
        """Say that a request is not held any more (it may still run)."""
        group.held -= 1
        self.held -= 1

    def leave(self, host: bytes, group: HeldHost) -> None:
        """Say that a request that was held is over."""
        group.users -= 1
        if not group.users and self._hosts.get(host) is group:
            del self._hosts[host]

    def is_held(self, host: bytes) -> bool:
        """True while somebody waits for `host`."""
        group = self._hosts.get(host)
        return group is not None and group.held > 0

    def held_by_host(self) -> dict[str, int]:
        """How many wait for each host that somebody waits for. Does not park."""
        return {host.decode("ascii"): g.held for host, g in self._hosts.items() if g.held}

    def rules_changed(self, hosts: Iterable[str]) -> None:
        """Wake everybody whose rule may be another now. Does not park."""
        for changed in hosts:
            name = changed.rpartition("://")[2].encode("ascii")
            below = b"." + name
            for host, group in self._hosts.items():
                if host == name or host.endswith(below):
                    group.line.wake_all()
