"""Statistics: the counters of one hub, as a snapshot.

Place     core; for dashboards, tests and the backdoor console.
Promise   a snapshot costs a few microseconds, so it may be taken every second.
Not here  who waits for what (inspection.py); how long a green thread held the hub (stalls.py).
"""

from __future__ import annotations

from dataclasses import dataclass

from verdant.core.hub import Hub, current_hub

__all__ = ["HubStatistics", "hub_statistics"]


@dataclass(frozen=True, slots=True)
class HubStatistics:
    """A moment of one hub.

    `turns`: polls so far, one per round of the loop. `threads`: green threads that have not ended.
    `ready`: how many of those, and of calls to the hub, run on the next round. `timers`: set and
    not cancelled. `watches`: descriptors registered. `waiting`: watches that somebody waits on.
    """

    turns: int
    threads: int
    ready: int
    timers: int
    watches: int
    waiting: int


def hub_statistics(hub: Hub | None = None) -> HubStatistics:
    """The counters of `hub`, or of this native thread's. Does not park."""
    hub = current_hub() if hub is None else hub
    watches = list(hub.watches.values())
    return HubStatistics(
        turns=hub.turns,
        threads=hub.alive,
        ready=len(hub.ready),
        timers=len(hub.timers),
        watches=len(watches),
        waiting=sum(watch.reader is not None or watch.writer is not None for watch in watches),
    )
