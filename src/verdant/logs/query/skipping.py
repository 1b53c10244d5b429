"""Skipping: which segments cannot have a line that a query asks for.

Place     logs/query, pure.
Promise   never skips a segment with a matching line; what it cannot judge is searched.
Not here  how a segment knows its grams (store/grams.py).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Protocol

from verdant.logs.query.tree import And, Compare, Not, Or, Pattern, Text

if TYPE_CHECKING:
    from collections.abc import Collection

    from verdant.logs.query.tree import Node

__all__ = ["Facts", "literal_of", "may_match", "only_app"]

# Letters that stand for themselves in any pattern; the shortest run worth asking for.
_plain = re.compile(r"[A-Za-z0-9 _:,;@#%&=<>~'\"/-]+")
# In a pattern with one of these a run may be optional, denied or of another case.
_SPECIAL = re.compile(r"[|(\\\[?*{]")


class Facts(Protocol):
    """What is known of a segment's lines without reading them."""

    @property
    def apps(self) -> Collection[str]:
        """Every app that has a line in it."""

    def may_contain(self, text: str) -> bool:
        """False when no message has `text` in it, whatever its case."""


def may_match(node: Node | None, facts: Facts) -> bool:
    """False when no line of the segment can meet `node`."""
    match node:
        case And(items):
            return all(may_match(item, facts) for item in items)
        case Or(items):
            return any(may_match(item, facts) for item in items)
        case Text(value) | Compare("msg" | "message", "=", value, wild=False):
            return facts.may_contain(value)
        case Compare("app", "=", value, wild=False):
            return value in facts.apps
        case Pattern(None | "msg" | "message", pattern):
            literal = literal_of(pattern)
            return not literal or facts.may_contain(literal)
        case Not() | Compare() | Pattern() | None:
            return True


def only_app(node: Node | None) -> str | None:
    """The one app that everything found is of; None when there may be others."""
    match node:
        case Compare("app", "=", value, wild=False):
            return value
        case And(items):
            return next((app for app in map(only_app, items) if app is not None), None)
        case _:
            return None


def literal_of(pattern: str) -> str:
    """The longest text that everything `pattern` finds has in it; "" when that is not plain."""
    if _SPECIAL.search(pattern):
        return ""
    # Of "ab+c" all that is sure is that an "ab" comes and a "c": a run may end in a repetition,
    # which needs its letter at least once.
    return max(_plain.findall(pattern), key=len, default="")
