"""Edits: what a caller wants changed, and under which conditions.

Place     balancer, pure. The management API makes edits, the rulebook carries them out.
Promise   `check` looks at all conditions before anything is written: an edit is made whole or
          not at all.
Not here  writing (rulebook.py, state.py); how HTTP spells a condition (api/conditions.py).

A rule's tag is made of what the rule says, so that it costs no memory beside a million rules and
means the same after a restart. A counter per rule would tell apart a rule that was changed and
changed back; whoever compares before setting wants to know what stands there, and that is the same.
The table's tag is its version, which goes up with each change and is kept on disk.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import blake2b
from typing import TYPE_CHECKING

import msgspec

from verdant.balancer.errors import Conflict

if TYPE_CHECKING:
    from collections.abc import Mapping

    from verdant.balancer.rules import Rule

__all__ = ["ANY", "Applied", "Condition", "Edit", "check", "rule_tag", "table_tag"]

# Two rules of one host with the same 64 bits would have to be made on purpose, by somebody who
# may write rules anyway.
TAG_BYTES = 8

# A condition that any rule fulfils, as in `If-Match: *`.
ANY = "*"


@dataclass(frozen=True, slots=True)
class Condition:
    """What must stand in the table. `host` None: the table itself.

    tags: one of these, or `ANY`; empty: there must be no rule.
    """

    host: str | None
    tags: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Edit:
    """Rules to keep and hosts to forget. `replace`: keep `put` and nothing else."""

    put: Mapping[str, Rule] = field(default_factory=dict)
    delete: tuple[str, ...] = ()
    replace: bool = False
    conditions: tuple[Condition, ...] = ()


@dataclass(frozen=True, slots=True)
class Applied:
    """What came of an edit: the table's version now, and how many rules are others than before."""

    version: int
    put_count: int
    deleted_count: int

    @property
    def changed(self) -> bool:
        """False for an edit that asked for what stood there already."""
        return bool(self.put_count or self.deleted_count)


def rule_tag(rule: Rule) -> str:
    """Sixteen hexadecimal digits that stand for what `rule` says."""
    return blake2b(msgspec.json.encode(rule.to_json()), digest_size=TAG_BYTES).hexdigest()


def table_tag(version: int) -> str:
    """The tag of the whole table at this version."""
    return f"v{version}"


def check(edit: Edit, rules: Mapping[str, Rule], version: int) -> None:
    """Raise `Conflict` unless every condition of `edit` holds. Does not park."""
    for condition in edit.conditions:
        if condition.host is None:
            found: str | None = table_tag(version)
            what = "the table"
        else:
            rule = rules.get(condition.host)
            found = None if rule is None else rule_tag(rule)
            what = f"the rule of {condition.host}"
        if found is None:
            if condition.tags:
                raise Conflict(f"{what} is gone; read the table and decide again", None)
        elif not condition.tags:
            raise Conflict(f"{what} exists already; send its tag in If-Match to change it", found)
        elif found not in condition.tags and ANY not in condition.tags:
            raise Conflict(f"{what} was changed meanwhile; read it and decide again", found)
