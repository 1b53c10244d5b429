"""Filters: a query's tree as one SQL condition.

Place     logs/query, pure.
Promise   what the user wrote is in the parameters, never in the condition's text. A condition is
          true or false, never NULL, so that its denial is the rest of the lines. Patterns are
          RE2's, which take time in proportion to the text, whatever they are.
"""

from __future__ import annotations

import re2

from verdant.logs.errors import BadQuery
from verdant.logs.query.tree import And, Compare, Node, Not, Or, Pattern, Text
from verdant.logs.record import LEVELS

__all__ = ["NUMBER", "column_of", "compile_condition", "number_of", "severity"]

_COLUMNS = {"app": "app", "host": "host", "msg": "msg", "message": "msg", "level": "upper(level)"}
severity = (
    "CASE upper(level) "
    + " ".join(f"WHEN '{name}' THEN {number}" for name, number in LEVELS.items())
    + " ELSE 20 END"
)

# What counts as a number in a field, here and where rows are sorted (tables.py).
NUMBER = r"-?[0-9]+([.][0-9]+)?([eE][-+]?[0-9]{1,3})?"

Sql = tuple[str, list[object]]


def compile_condition(node: Node | None) -> Sql:
    """A condition over the store's columns and its parameters. Raises `BadQuery`."""
    match node:
        case None:
            return "true", []
        case And(items):
            return _joined(" AND ", items)
        case Or(items):
            return _joined(" OR ", items)
        case Not(item):
            condition, values = compile_condition(item)
            return f"NOT {condition}", values
        case Text(value):
            return "contains(lower(msg), lower(?))", [value]
        case Pattern(name, pattern, position):
            _check_pattern(pattern, position)
            column, values = column_of(name or "msg")
            return _true(f"regexp_matches({column}, ?)", name or "msg"), [*values, pattern]
        case Compare(operator="!="):
            condition, values = _equals(node)
            return f"NOT {condition}", values
        case Compare(operator="="):
            return _equals(node)
        case Compare():
            return _ordered(node)


def _joined(word: str, items: tuple[Node, ...]) -> Sql:
    parts = [compile_condition(item) for item in items]
    values = [value for _, part in parts for value in part]
    return "(" + word.join(condition for condition, _ in parts) + ")", values


def _equals(term: Compare) -> Sql:
    column, values = column_of(term.name)
    value = term.value.upper() if term.name == "level" else term.value
    if term.name in ("msg", "message") and not term.wild:
        return "contains(lower(msg), lower(?))", [value]
    if term.wild:
        return _true(f"{column} LIKE ? ESCAPE '\\'", term.name), [*values, _like(value)]
    number = _number(value)
    if number is not None and term.name not in _COLUMNS:
        # "status=500" is meant whether the program wrote 500 or "500".
        numeric, values = number_of(term.name)
        return f"coalesce({numeric} = ?, false)", [*values, number]
    return _true(f"{column} = ?", term.name), [*values, value]


def _ordered(term: Compare) -> Sql:
    if term.name == "level":
        name = term.value.upper()
        if name not in LEVELS:
            known = ", ".join(LEVELS).lower()
            raise BadQuery(f"{term.value!r} is no level: expected one of {known}", term.position)
        return f"({severity} {term.operator} ?)", [LEVELS[name]]
    number = _number(term.value)
    if number is not None and term.name not in _COLUMNS:
        numeric, values = number_of(term.name)
        return f"coalesce({numeric} {term.operator} ?, false)", [*values, number]
    column, values = column_of(term.name)
    return _true(f"{column} {term.operator} ?", term.name), [*values, term.value]


def _true(condition: str, name: str) -> str:
    # A column is never NULL; said plainly, the engine skips what its statistics rule out.
    return f"({condition})" if name in _COLUMNS else f"coalesce({condition}, false)"


def column_of(name: str) -> Sql:
    """The text of the field `name`, NULL where a line has none."""
    if name in _COLUMNS:
        return _COLUMNS[name], []
    # JSON pointers: their steps cannot be anything but names. A client may have sent text that is
    # no JSON; it has no fields then, and must not fail everybody's query.
    whole = "/" + name.replace("~", "~0").replace("/", "~1")
    expression = "TRY(json_extract_string(fields, ?))"
    if "." not in name:
        return expression, [whole]
    # "http.status" is one name to some programs and a path to others.
    return f"coalesce({expression}, {expression})", [whole, whole.replace(".", "/")]


def number_of(name: str) -> Sql:
    """The field `name` as a number, NULL where it is none."""
    column, values = column_of(name)
    checked = f"CASE WHEN regexp_full_match({column}, '{NUMBER}')"
    return f"{checked} THEN TRY_CAST({column} AS DOUBLE) END", [*values, *values]


def _number(text: str) -> float | None:
    return float(text) if re2.fullmatch(NUMBER, text) else None


def _like(wild: str) -> str:
    escaped = wild.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return escaped.replace("*", "%")


def _check_pattern(pattern: str, position: int) -> None:
    options = re2.Options()
    options.log_errors = False
    try:
        re2.compile(pattern, options)
    except re2.error as exc:
        reason = exc.args[0].decode() if isinstance(exc.args[0], bytes) else exc
        raise BadQuery(f"expected a pattern that RE2 can read ({reason})", position) from None
