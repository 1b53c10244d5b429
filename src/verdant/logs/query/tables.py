"""Tables: all servers' groups as one table, and the stages that are left.

Place     logs/query, pure. The reader's half of a plan.
Promise   groups of any number of servers give the table that one server with all lines would.
Not here  lines themselves (client/merge.py).
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from dataclasses import dataclass
from operator import itemgetter
from typing import TYPE_CHECKING, TypeVar

import msgspec

from verdant.logs.query.filters import NUMBER
from verdant.logs.query.plan import columns_of
from verdant.logs.query.tree import Bucket, Count, Fields, Head, Percentiles, Sort
from verdant.logs.record import level_number

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from verdant.logs.query.plan import Plan
    from verdant.logs.query.tree import Pipe

__all__ = ["Cell", "Table", "make_table", "ordered", "sort_key", "text_of"]

# Beyond it empty stretches are not shown: nobody reads more, and a year of milliseconds is many.
FILLED_MAX = 10_000

_is_number = re.compile(NUMBER).fullmatch

T = TypeVar("T")
Cell = str | int | float | None
Group = tuple[Cell, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under `columns`. In the column "time" are nanoseconds since 1970."""

    columns: tuple[str, ...]
    rows: list[Group]


def make_table(plan: Plan, groups: Iterable[Sequence[Cell]]) -> Table:
    """The table of a grouping plan. `groups`: keys, the counted number if any, the count."""
    grouping = plan.grouping
    assert grouping is not None
    columns = columns_of(grouping)
    if isinstance(grouping, Count):
        rows = _counted(plan, grouping, groups)
    else:
        rows = _percentiles(grouping, groups)
    times = [index for index, key in enumerate(grouping.keys) if isinstance(key, Bucket)]
    rows.sort(key=lambda row: [sort_key(cell) for cell in row])
    if times:
        rows.sort(key=lambda row: row[times[0]] or 0)
    elif isinstance(grouping, Count):
        rows.sort(key=lambda row: row[-1] or 0, reverse=True)
    return _apply(Table(columns, rows), plan.pipes)


def _counted(plan: Plan, grouping: Count, groups: Iterable[Sequence[Cell]]) -> list[Group]:
    counts: dict[Group, int] = defaultdict(int)
    if not grouping.keys:
        counts[()] = 0
    for *key, count in groups:
        counts[tuple(key)] += int(count or 0)
    if grouping.filled and isinstance(grouping.keys[0], Bucket):
        _fill(plan, grouping.keys[0].span_ns, counts)
    return [(*key, count) for key, count in counts.items()]


def _fill(plan: Plan, span_ns: int, counts: dict[Group, int]) -> None:
    if not counts:
        return
    times = [int(key[0] or 0) for key in counts]
    first = min(times) if plan.since_ns is None else plan.since_ns // span_ns * span_ns
    last = max(times) if plan.until_ns is None else (plan.until_ns - 1) // span_ns * span_ns
    if (last - first) // span_ns > FILLED_MAX:
        return
    for others in {key[1:] for key in counts}:
        for moment in range(first, last + 1, span_ns):
            counts.setdefault((moment, *others), 0)


def _percentiles(grouping: Percentiles, groups: Iterable[Sequence[Cell]]) -> list[Group]:
    values: dict[Group, dict[float, int]] = defaultdict(lambda: defaultdict(int))
    for *key, value, count in groups:
        if value is not None:
            values[tuple(key)][float(value)] += int(count or 0)
    rows: list[Group] = []
    for found, numbers in values.items():
        ordered = sorted(numbers.items())
        rows.append((*found, *(_rank(ordered, percent) for percent in grouping.percents)))
    return rows


def _rank(ordered: list[tuple[float, int]], percent: float) -> float:
    # The nearest rank: a value that was there, never one between two.
    wanted = max(1, math.ceil(percent / 100 * sum(count for _, count in ordered)))
    for value, count in ordered:
        wanted -= count
        if wanted <= 0:
            return value
    return ordered[-1][0]


def _apply(table: Table, pipes: Iterable[Pipe]) -> Table:
    columns, rows = table.columns, table.rows
    for pipe in pipes:
        if isinstance(pipe, Head):
            rows = rows[: pipe.count]
        elif isinstance(pipe, Fields):
            kept = [columns.index(name) for name in pipe.names if name in columns]
            columns = tuple(columns[index] for index in kept)
            rows = [tuple(row[index] for index in kept) for row in rows]
        elif isinstance(pipe, Sort):
            for name, is_descending in reversed(pipe.keys):
                cell_of = itemgetter(columns.index(name))
                rows = ordered(rows, cell_of, name, is_descending=is_descending)
    return Table(columns, rows)


def ordered(
    items: Sequence[T], cell_of: Callable[[T], Cell], name: str, *, is_descending: bool
) -> list[T]:
    """`items` by a cell: numbers, then text, then those without one; as the engine orders lines.

    Equal ones stay in their order.
    """
    keyed = [(sort_key(cell_of(item), name), item) for item in items]
    found: list[T] = []
    # Descending turns the order within each kind, not the kinds.
    for kind in (0, 1, 2):
        some = [pair for pair in keyed if pair[0][0] == kind]
        some.sort(key=lambda pair: pair[0], reverse=is_descending)
        found += [item for _, item in some]
    return found


def sort_key(cell: Cell, name: str = "") -> tuple[int, float, str]:
    """Numbers by size, then text by its characters; what is not there comes last."""
    if cell is None:
        return 2, 0.0, ""
    if name == "level":
        return 0, float(level_number(str(cell))), ""
    if not isinstance(cell, str):
        return 0, float(cell), ""
    return (0, float(cell), cell) if _is_number(cell) else (1, 0.0, cell)


def text_of(value: object) -> str | None:
    """A JSON value as the engine sees it: text as it is, the rest as JSON."""
    if value is None or isinstance(value, str):
        return value
    return msgspec.json.encode(value).decode()
