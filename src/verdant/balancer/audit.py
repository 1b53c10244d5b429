"""Audit: one line for each change of a rule: who, what, before and after.

Place     balancer; the rulebook writes, through stdlib logging, to `verdant.balancer.audit`.
Promise   a line is written after the change is durable, and only then; each names the number of
          the change. What came from outside is in JSON: no name can begin a line of its own.
Not here  where the lines go: that is logging's configuration. `verdant balancer` has stderr.

    change 42 by deploy@127.0.0.1: "a.example" ["spin",{},false] -> ["empty",{"code":403},false]

`acting_for` is set by whoever lets a caller in, for the green thread that serves the call. It is a
context variable, not an argument: the calls on the way have no use for the name.
"""

from __future__ import annotations

import logging
from contextvars import ContextVar
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping

    from verdant.balancer.changefeed import Change
    from verdant.balancer.rules import Rule

__all__ = ["acting_for", "write_audit"]

acting_for: ContextVar[str] = ContextVar("acting_for", default="the balancer")

_log = logging.getLogger("verdant.balancer.audit")


def write_audit(change: Change, before: Mapping[str, Rule | None], hosts_count: int) -> None:
    """Write the lines of `change`; `before` has the rule that each of its hosts had.

    hosts_count: how many hosts changed; where the change does not name them, there is one line for
    all. Does not park, but logging's handlers may block.
    """
    if not _log.isEnabledFor(logging.INFO):
        return
    if change.put is None or change.deleted is None:
        _log.info("change %d by %s: %d hosts at once", change.version, change.by, hosts_count)
        return
    after: dict[str, Rule | None] = {**change.put, **dict.fromkeys(change.deleted)}
    for host, rule in after.items():
        _log.info(
            "change %d by %s: %s %s -> %s",
            change.version,
            change.by,
            _json(host),
            _json_of_rule(before.get(host)),
            _json_of_rule(rule),
        )


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _json_of_rule(rule: Rule | None) -> str:
    return "none" if rule is None else _json(rule.to_json())
