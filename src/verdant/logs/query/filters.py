"""Filters: a query's terms as one SQL condition.

Place     logs/query, pure.
Promise   what the user wrote is in the parameters, never in the condition's text. Patterns are
          RE2's, which take time in proportion to the text, whatever they are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import re2

from verdant.logs.errors import BadQuery
from verdant.logs.record import LEVELS

if TYPE_CHECKING:
    from verdant.logs.query.syntax import Query, Term

__all__ = ["compile_condition"]

_COLUMNS = {"app": "app", "host": "host", "msg": "msg"}
_SEVERITY = (
    "CASE level "
    + " ".join(f"WHEN '{name}' THEN {number}" for name, number in LEVELS.items())
    + " ELSE 20 END"
)


def compile_condition(query: Query) -> tuple[str, list[object]]:
    """A condition over the store's columns and its parameters. Raises `BadQuery`."""
    conditions = []
    parameters: list[object] = []
    for term in query.terms:
        condition, values = _compile(term)
        conditions.append(f"NOT coalesce({condition}, false)" if term.negated else condition)
        parameters += values
    return " AND ".join(conditions) or "true", parameters


def _compile(term: Term) -> tuple[str, list[object]]:
    if term.operator == "=~":
        _check_pattern(term)
        column, values = _column(term.name or "msg")
        return f"regexp_matches({column}, ?)", [*values, term.value]
    if term.name is None:
        return "contains(lower(msg), lower(?))", [term.value]
    if term.name == "level":
        return _compile_level(term)
    if term.name == "msg" and term.operator == "=":
        return "contains(lower(msg), lower(?))", [term.value]
    column, values = _column(term.name)
    operator = "<>" if term.operator == "!=" else term.operator
    number = _number(term.value)
    if number is not None and term.name not in _COLUMNS:
        # "status=500" is meant whether the program wrote 500 or "500"; text stays comparable too.
        numeric = f"TRY_CAST({column} AS DOUBLE) {operator} ?"
        return _present(term, numeric, [*values, number])
    return _present(term, f"{column} {operator} ?", [*values, term.value])


def _present(term: Term, condition: str, values: list[object]) -> tuple[str, list[object]]:
    # A line without the field is unlike every value.
    return (f"coalesce({condition}, {'true' if term.operator == '!=' else 'false'})", values)


def _compile_level(term: Term) -> tuple[str, list[object]]:
    name = term.value.upper()
    if term.operator in ("=", "!="):
        return f"level {'=' if term.operator == '=' else '<>'} ?", [name]
    if name not in LEVELS:
        raise BadQuery(
            f"{term.value!r} is no level to compare with: one of {', '.join(LEVELS).lower()}",
            term.position,
        )
    return f"{_SEVERITY} {term.operator} ?", [LEVELS[name]]


def _column(name: str) -> tuple[str, list[object]]:
    if name in _COLUMNS:
        return _COLUMNS[name], []
    if name == "level":
        return "level", []
    # A JSON pointer: its steps cannot be anything but names.
    return "json_extract_string(fields, ?)", ["/" + name.replace("~", "~0").replace(".", "/")]


def _number(text: str) -> float | None:
    try:
        return float(text) if text[:1] in "-0123456789" and text else None
    except ValueError:
        return None


def _check_pattern(term: Term) -> None:
    options = re2.Options()
    options.log_errors = False
    try:
        re2.compile(term.value, options)
    except re2.error as exc:
        raise BadQuery(f"the pattern cannot be read ({exc})", term.position) from None
