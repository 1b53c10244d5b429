"""Conditions: If-Match and If-None-Match as conditions of an edit (RFC 9110 section 13.1).

Place     balancer/api, pure.
Promise   what is not such a field is refused: a condition that was misread is a change that
          nobody wanted.
"""

from __future__ import annotations

import re

from verdant.balancer.edits import ANY, Condition
from verdant.balancer.errors import BadRule

__all__ = ["read_conditions"]

# A tag of ours in its quotes. Weak ones (W/"...") never match here: If-Match compares strongly.
_tags = re.compile(r'\s*"([0-9A-Za-z]{1,64})"\s*(?:,|\Z)').match

TAGS_COUNT_MAX = 16


def read_conditions(
    host: str | None, if_match: str | None, if_none_match: str | None
) -> tuple[Condition, ...]:
    """The conditions that the two fields set for `host` (None: the table). Raises `BadRule`."""
    conditions = []
    if if_match is not None:
        conditions.append(Condition(host, _read_tags(if_match)))
    if if_none_match is not None:
        if if_none_match.strip() != ANY or host is None:
            raise BadRule(
                "condition_invalid",
                "If-None-Match may say only `*`, and only for one host: there must be no rule yet",
            )
        conditions.append(Condition(host, ()))
    return tuple(conditions)


def _read_tags(text: str) -> tuple[str, ...]:
    if text.strip() == ANY:
        return (ANY,)
    tags: list[str] = []
    position = 0
    while match := _tags(text, position):
        tags.append(match[1])
        position = match.end()
    if position < len(text) or not 0 < len(tags) <= TAGS_COUNT_MAX or text.endswith(","):
        raise BadRule(
            "condition_invalid",
            'If-Match names tags as an ETag field had them, such as "0123456789abcdef", or `*`',
        )
    return tuple(tags)
