"""Syntax: the text of a query to its terms.

Place     logs/query, pure.
Promise   any text gives a `Query` or a `BadQuery` that points at the mistake.
Not here  what a term finds (filters.py), what a time means (times.py).

    app=web level>=warning status=500 "connection refused" /time(d|-)out/ -debug since=1h limit=50

Terms side by side must all hold; `-` before one (or `!=`) denies it. A word, or text in quotes, is
looked for in the message, whatever its case; `/.../` is a regular expression (RE2) on it. Names
other than app, host, level and msg are fields that the program added.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from verdant.logs.errors import BadQuery

__all__ = ["Query", "Term", "parse_query"]

QUERY_CHARS_MAX = 4096
TERMS_MAX = 64
LIMIT_MAX = 50_000

Operator = Literal["=", "!=", "<", "<=", ">", ">=", "=~"]


@dataclass(frozen=True, slots=True)
class Term:
    """One condition. `name` is None for the message; `position`: where it stands in the text."""

    name: str | None
    operator: Operator
    value: str
    position: int
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Query:
    """All conditions, and the bounds: times as they were written, None where there is none."""

    terms: tuple[Term, ...] = ()
    since: str | None = None
    until: str | None = None
    limit: int | None = None


_QUOTED = r'"(?:[^"\\]|\\.)*"'
_term = re.compile(
    rf"""(?P<negated>-)?
    (?:(?P<name>[A-Za-z_][A-Za-z0-9_.-]*)(?P<operator>=~|!=|<=|>=|=|<|>)
       (?:(?P<value_quoted>{_QUOTED})|/(?P<value_pattern>(?:[^/\\]|\\.)*)/(?=\s|$)
          |(?P<value>[^\s"]*))
    |(?P<quoted>{_QUOTED})
    |/(?P<pattern>(?:[^/\\]|\\.)+)/(?=\s|$)
    |(?P<word>[^\s"|()]+))""",
    re.VERBOSE,
).match
_space = re.compile(r"\s*").match


def parse_query(text: str) -> Query:
    """The query that `text` says. Raises `BadQuery`."""
    if len(text) > QUERY_CHARS_MAX:
        raise BadQuery(f"a query has at most {QUERY_CHARS_MAX} characters", QUERY_CHARS_MAX)
    terms: list[Term] = []
    bounds: dict[str, tuple[str, int]] = {}
    position = 0
    while True:
        space = _space(text, position)
        position = space.end() if space else position
        if position >= len(text):
            break
        match = _term(text, position)
        if match is None:
            raise BadQuery(_why_not(text[position]), position)
        end = match.end()
        if end < len(text) and not text[end].isspace():
            raise BadQuery("terms are separated by blanks", end)
        term = _make_term(match, position)
        if term.name in ("since", "until", "limit"):
            if term.operator != "=" or term.negated:
                raise BadQuery(f"{term.name} takes = and a value", position)
            bounds[term.name] = (term.value, position)
        else:
            terms.append(term)
        if len(terms) > TERMS_MAX:
            raise BadQuery(f"a query has at most {TERMS_MAX} terms", position)
        position = end
    return Query(
        tuple(terms),
        bounds["since"][0] if "since" in bounds else None,
        bounds["until"][0] if "until" in bounds else None,
        _limit(*bounds["limit"]) if "limit" in bounds else None,
    )


def _why_not(character: str) -> str:
    if character == '"':
        return "this quote is not closed"
    if character in "|()":
        return f"{character!r} means nothing here: put the text that has it in quotes"
    return f"a term cannot begin with {character!r}"


def _make_term(match: re.Match[str], position: int) -> Term:
    negated = match["negated"] is not None
    if match["name"] is not None:
        operator: Operator = match["operator"]  # type: ignore[assignment] # the expression's own
        if match["value_pattern"] is not None:
            if operator not in ("=", "=~"):
                raise BadQuery("a pattern is compared with =~", position)
            return Term(match["name"], "=~", match["value_pattern"], position, negated)
        value = _unquoted(match["value_quoted"]) if match["value_quoted"] else match["value"]
        return Term(match["name"], operator, value, position, negated)
    if match["pattern"] is not None:
        return Term(None, "=~", match["pattern"], position, negated)
    text = _unquoted(match["quoted"]) if match["quoted"] is not None else match["word"]
    return Term(None, "=", text, position, negated)


def _unquoted(quoted: str) -> str:
    return re.sub(r"\\(.)", r"\1", quoted[1:-1], flags=re.DOTALL)


def _limit(value: str, position: int) -> int:
    if value.isascii() and value.isdigit() and 0 < int(value[:9]) <= LIMIT_MAX:
        return int(value)
    raise BadQuery(f"limit is a number from 1 to {LIMIT_MAX}", position)
