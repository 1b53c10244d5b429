"""Chronicle: what is told of a change once it is durable: to followers, to the audit, to activity.

Place     balancer; the rulebook keeps one, and calls it in the order of the changes.
Promise   every change that is durable is told once, under the number that the disk gave it.
Not here  making changes (rulebook.py), the telling itself (changefeed.py, audit.py).
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Protocol

from verdant.balancer.activity import Activity
from verdant.balancer.audit import write_audit
from verdant.balancer.changefeed import HOSTS_TOLD_MAX, Change, ChangeFeed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from verdant.balancer.routing import Changes
    from verdant.balancer.rules import Rule

__all__ = ["Chronicle", "rules_before"]


class _Rules(Protocol):
    """A mapping of rules, or the table of requests."""

    def get(self, host: str, /) -> Rule | None:
        """The rule of `host`, or None."""
        ...


def rules_before(changes: Changes, rules: _Rules) -> dict[str, Rule | None]:
    """The rule of each host of `changes` as `rules` still has it; nothing for too many hosts."""
    if len(changes.put) + len(changes.deleted) > HOSTS_TOLD_MAX:
        return {}
    return {host: rules.get(host) for host in (*changes.put, *changes.deleted)}


class Chronicle:
    """The telling of changes. Use it from one hub."""

    def __init__(self, version: int) -> None:
        self.feed = ChangeFeed(version)
        self.activity = Activity(time.time())

    def record(
        self, version: int, changes: Changes, before: Mapping[str, Rule | None], by: str
    ) -> None:
        """`by` has made `changes`, and the table has `version` now. Does not park."""
        count = len(changes.put) + len(changes.deleted)
        told = count <= HOSTS_TOLD_MAX
        now_s = time.time()
        self.activity.forget(changes.deleted)
        if told:
            self.activity.touch(changes.put, now_s)
        else:
            self.activity.touch_all(now_s)
        change = Change(
            version,
            self.feed.version,
            changes.put if told else None,
            changes.deleted if told else None,
            by,
            now_s,
        )
        self.feed.append(change)
        write_audit(change, before, count)
