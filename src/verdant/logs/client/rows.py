"""Rows: cells of a line by name, and the stages of a query that are left for the reader.

Place     logs/client, pure.
Promise   a cell is the text that servers compare (query/filters.py), so that both order alike.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from verdant.logs.query import Fields, Head, Sort, ordered, text_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from verdant.logs.protocol import Row
    from verdant.logs.query import Cell, Plan

__all__ = ["apply_pipes", "cell_of", "shown_fields"]


def cell_of(row: Row, name: str) -> Cell:
    """What `row` has under `name`; None when it has nothing."""
    match name:
        case "time" | "t":
            return row.t
        case "msg" | "message":
            return row.msg
        case "app" | "host" | "level":
            return str(getattr(row, name))
    try:
        found = msgspec.json.decode(row.fields)
    except msgspec.DecodeError:
        return None
    if isinstance(found, dict) and found.get(name) is not None:
        return text_of(found[name])
    for step in name.split("."):
        found = found.get(step) if isinstance(found, dict) else None
    return text_of(found)


def apply_pipes(rows: Iterable[Row], plan: Plan) -> list[Row]:
    """`rows` of all servers through the query's `sort` and `head`."""
    found = sorted(rows, key=lambda row: row.place, reverse=plan.order == "newest")
    for pipe in plan.pipes:
        if isinstance(pipe, Head):
            found = found[: pipe.count]
        elif isinstance(pipe, Sort):
            for name, is_descending in reversed(pipe.keys):
                found = _by_cell(found, name, is_descending=is_descending)
    return found[: plan.limit]


def _by_cell(rows: list[Row], name: str, *, is_descending: bool) -> list[Row]:
    return ordered(rows, lambda row: cell_of(row, name), name, is_descending=is_descending)


def shown_fields(plan: Plan) -> tuple[str, ...] | None:
    """The columns that the query asks for; None for all."""
    names: tuple[str, ...] | None = None
    for pipe in plan.pipes:
        if isinstance(pipe, Fields):
            names = pipe.names if names is None else tuple(n for n in names if n in pipe.names)
    return names
