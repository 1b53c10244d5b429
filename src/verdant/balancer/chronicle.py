"""Chronicle: what is told of a change once it is durable: to followers, to the audit, to activity.

Place     balancer; the rulebook keeps one, and calls it in the order of the changes.
Promise   every change that is durable is told once, under the number that the disk gave it.
Not here  making changes (rulebook.py), the telling itself (changefeed.py, audit.py).
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from verdant.balancer.activity import Activity
from verdant.balancer.audit import write_audit
from verdant.balancer.changefeed import HOSTS_TOLD_MAX, Change, ChangeFeed

if TYPE_CHECKING:
    from verdant.balancer.routing import Changes

__all__ = ["Chronicle"]


class Chronicle:
    """The telling of changes. Use it from one hub."""

    def __init__(self, version: int) -> None:
        self.feed = ChangeFeed(version)
        self.activity = Activity(time.time())

    def record(self, version: int, changes: Changes, by: str) -> None:
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
        write_audit(change, changes.before, count)
