"""Stages: what stands behind each | of a query, to values.

Place     logs/query, pure. Part of the language of syntax.py.

    count [by KEY, ...]        top N FIELD            p50,p99 FIELD [by KEY, ...]
    histogram SPAN [by KEY, ...]                      percentile 50,99 FIELD [by KEY, ...]
    fields NAME, ...           head N                 sort [-]NAME, ...

A KEY is a field's name or a span of time (1m). Lines are counted once: one stage of the first two
rows in a query, and any number of the last behind it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from verdant.logs.query.times import parse_span
from verdant.logs.query.tree import Bucket, Count, Fields, Head, Key, Percentiles, Pipe, Sort

if TYPE_CHECKING:
    from collections.abc import Callable

    from verdant.logs.query.cursor import Cursor

__all__ = ["parse_stages"]

STAGES_MAX = 8
KEYS_MAX = 8
ROWS_MAX = 50_000

_word = re.compile(r"[A-Za-z_@][A-Za-z0-9_.@-]*")
_short = re.compile(r"p[0-9]{1,2}(?:\.[0-9]{1,3})?(?=[\s,])")
_number = re.compile(r"[0-9]{1,9}(?![0-9A-Za-z.])")
_percent = re.compile(r"[0-9]{1,3}(?:\.[0-9]{1,3})?")
_span = re.compile(r"[0-9][0-9.]*[a-z]*")


def parse_stages(cursor: Cursor) -> tuple[Pipe, ...]:
    """The stages from behind the first | on. Raises `BadQuery`."""
    found: list[Pipe] = []
    while True:
        cursor.skip_blanks()
        start = cursor.position
        if len(found) == STAGES_MAX:
            cursor.fail(f"a query has at most {STAGES_MAX} stages")
        for pipe in _stage(cursor):
            if isinstance(pipe, Count | Percentiles) and found:
                cursor.fail("lines are counted in the first stage: expected head, sort or fields",
                            start)  # fmt: skip
            found.append(pipe)
        cursor.skip_blanks()
        if not cursor.take("|"):
            if cursor.here:
                cursor.fail("expected | or the end of the query")
            return tuple(found)


def _stage(cursor: Cursor) -> list[Pipe]:
    start = cursor.position
    if cursor.match(_short) is not None:
        cursor.position = start
        return [_percentiles(cursor, prefix="p")]
    word = cursor.match(_word)
    parse = _STAGES.get(word or "")
    if parse is None:
        said = f"{word!r} is no stage: " if word else ""
        cursor.fail(f"{said}expected one of {', '.join(_STAGES)}, p99", start)
    cursor.skip_blanks()
    return parse(cursor)


def _count(cursor: Cursor) -> list[Pipe]:
    return [Count(_by(cursor))]


def _histogram(cursor: Cursor) -> list[Pipe]:
    bucket = _bucket(cursor)
    return [Count((bucket, *_by(cursor)), filled=True)]


def _top(cursor: Cursor) -> list[Pipe]:
    number = _count_of_rows(cursor, "top 10 path")
    name = _field(cursor)
    return [Count((name,), present=True), Sort((("count", True),)), Head(number)]


def _percentiles(cursor: Cursor, prefix: str = "") -> Percentiles:
    percents: list[float] = []
    while True:
        cursor.skip_blanks()
        position = cursor.position
        cursor.take(prefix)
        text = cursor.match(_percent)
        if text is None or not 0 <= float(text) <= 100:
            cursor.fail(f"expected {prefix}N, a percentage from 0 to 100", position)
        percents.append(float(text))
        if len(percents) > KEYS_MAX:
            cursor.fail(f"at most {KEYS_MAX} percentiles are computed at once", position)
        if not cursor.take(","):
            break
    return Percentiles(tuple(dict.fromkeys(percents)), _field(cursor), _by(cursor))


def _fields(cursor: Cursor) -> list[Pipe]:
    names = [_field(cursor)]
    while _comma(cursor):
        names.append(_field(cursor))
    return [Fields(tuple(dict.fromkeys(names)))]


def _head(cursor: Cursor) -> list[Pipe]:
    return [Head(_count_of_rows(cursor, "head 10"))]


def _sort(cursor: Cursor) -> list[Pipe]:
    start = cursor.position
    keys: list[tuple[str, bool]] = []
    while True:
        cursor.skip_blanks()
        is_descending = cursor.take("-")
        keys.append((_field(cursor), is_descending))
        if len(keys) > KEYS_MAX:
            cursor.fail(f"rows are sorted by at most {KEYS_MAX} names")
        if not _comma(cursor):
            return [Sort(tuple(keys), start)]


_STAGES: dict[str, Callable[[Cursor], list[Pipe]]] = {
    "count": _count,
    "histogram": _histogram,
    "top": _top,
    "percentile": lambda cursor: [_percentiles(cursor)],
    "fields": _fields,
    "head": _head,
    "sort": _sort,
}


def _by(cursor: Cursor) -> tuple[Key, ...]:
    cursor.skip_blanks()
    if not cursor.here or cursor.here == "|":
        return ()
    position = cursor.position
    if cursor.match(_word) != "by":
        cursor.fail("expected `by`, | or the end of the query", position)
    keys: list[Key] = []
    while True:
        cursor.skip_blanks()
        key: Key = _bucket(cursor) if cursor.here.isdigit() else _field(cursor)
        if isinstance(key, Bucket) and any(isinstance(other, Bucket) for other in keys):
            cursor.fail("lines are grouped by one span of time: expected a field")
        if key not in keys:
            keys.append(key)
        if len(keys) > KEYS_MAX:
            cursor.fail(f"lines are grouped by at most {KEYS_MAX} keys")
        if not _comma(cursor):
            return tuple(keys)


def _bucket(cursor: Cursor) -> Bucket:
    cursor.skip_blanks()
    position = cursor.position
    text = cursor.match(_span) or ""
    return Bucket(parse_span(text, position), text)


def _field(cursor: Cursor) -> str:
    cursor.skip_blanks()
    if cursor.here == '"':
        return cursor.quoted()
    name = cursor.match(_word)
    if name is None:
        cursor.fail("expected a field's name")
    return name


def _comma(cursor: Cursor) -> bool:
    cursor.skip_blanks()
    return cursor.take(",")


def _count_of_rows(cursor: Cursor, example: str) -> int:
    position = cursor.position
    text = cursor.match(_number)
    if text is None or not 0 < int(text) <= ROWS_MAX:
        cursor.fail(f"expected a number from 1 to {ROWS_MAX}, as in `{example}`", position)
    return int(text)
