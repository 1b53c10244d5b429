"""Shapes: rules, hosts and changes as /v1 spells them.

Place     balancer/api. openapi.py describes the same shapes.
Promise   a rule that was read is taken back as it is; Mantrid's list form is taken too.
Not here  what a rule may say (rules.py).

    {"action": "proxy", "arguments": {"backends": [["10.0.0.5", 8000]]}, "match_subdomains": false}
"""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from verdant.balancer.edits import Condition, Edit, rule_tag
from verdant.balancer.errors import BadRule
from verdant.balancer.rules import Rule, normalise_host, parse_rule, parse_rules

if TYPE_CHECKING:
    from verdant.balancer.changefeed import Change

__all__ = [
    "change_json",
    "read_bulk",
    "read_rule",
    "read_rules",
    "read_time",
    "rule_json",
    "time_text",
]

RULE_KEYS = {"action", "arguments", "match_subdomains"}
BULK_KEYS = {"put", "delete", "if"}
# The year 9999 ends here.
TIME_S_MAX = 253_402_300_799


def rule_json(rule: Rule) -> dict[str, object]:
    """A rule as an object."""
    action, arguments, match_subdomains = rule.to_json()
    return {"action": action, "arguments": arguments, "match_subdomains": match_subdomains}


def read_rule(value: object) -> Rule:
    """The rule that an object, or Mantrid's list, says. Raises `BadRule`."""
    return parse_rule(_as_list(value))


def read_rules(value: object) -> dict[str, Rule]:
    """The table that `{host: rule, ...}` says. Raises `BadRule`."""
    if isinstance(value, dict):
        # Faults of a rule are named with its host by parse_rules, those of its form here.
        value = {host: _as_list(rule, host) for host, rule in value.items()}
    return parse_rules(value)


def read_bulk(value: object) -> Edit:
    """The edit that `{"put": {...}, "delete": [...], "if": {host: tag or null}}` says.

    Raises `BadRule`.
    """
    if not isinstance(value, dict) or not value.keys() <= BULK_KEYS:
        raise BadRule(
            "edit_invalid", 'a change is an object with "put", "delete" and "if", each optional'
        )
    delete = value.get("delete", [])
    if not isinstance(delete, list):
        raise BadRule("edit_invalid", '"delete" is a list of host names')
    expected = value.get("if", {})
    if not isinstance(expected, dict):
        raise BadRule("edit_invalid", '"if" is an object of tags (or null) by host name')
    put = read_rules(value.get("put", {}))
    deleted = tuple(normalise_host(host) for host in delete)
    both = put.keys() & set(deleted)
    if both:
        raise BadRule("edit_invalid", f'{min(both)} is both in "put" and in "delete"')
    conditions = tuple(_condition(host, tag) for host, tag in expected.items())
    return Edit(put, deleted, conditions=conditions)


def _condition(host: str, tag: object) -> Condition:
    if tag is not None and not isinstance(tag, str):
        raise BadRule("edit_invalid", f'"if" has for {ascii(host)[:80]} no tag and not null')
    return Condition(normalise_host(host), () if tag is None else (tag.strip('"'),))


def _as_list(value: object, host: object = None) -> object:
    if not isinstance(value, dict):
        return value
    if not value.keys() <= RULE_KEYS or "action" not in value:
        where = "" if host is None else f"host {ascii(host)[:80]}: "
        raise BadRule(
            "rule_invalid",
            f'{where}a rule is an object with "action", "arguments" and "match_subdomains"',
        )
    return [value["action"], value.get("arguments", {}), value.get("match_subdomains", False)]


def change_json(change: Change) -> dict[str, object]:
    """A change as followers get it."""
    return {
        "version": change.version,
        "after": change.after,
        "put": {
            host: {**rule_json(rule), "etag": rule_tag(rule)}
            for host, rule in (change.put or {}).items()
        },
        "delete": list(change.deleted or ()),
        "by": change.by,
        "at": time_text(change.time_s),
    }


def time_text(seconds: float) -> str:
    """Seconds since 1970 as RFC 3339 has it, in UTC."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def read_time(text: str) -> float:
    """The seconds since 1970 that a number, or a time of RFC 3339, says. Raises `BadRule`."""
    try:
        seconds = float(text)
    except ValueError:
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            moment = None
        if moment is None or moment.tzinfo is None:
            raise BadRule(
                "time_invalid",
                "inactive_since is a time such as 2030-01-31T12:00:00Z, or seconds since 1970",
            ) from None
        seconds = moment.timestamp()
    if not math.isfinite(seconds) or not 0 <= seconds <= TIME_S_MAX:
        raise BadRule("time_invalid", "inactive_since lies outside the years 1970 to 9999")
    return seconds
