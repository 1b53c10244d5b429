"""Plan: one query, ready to run on every server.

Place     logs/query, pure. Servers run it over their tail and their segments alike
          (store/scanner.py); the reader merges what they found by the same plan (tables.py).
Promise   the same text and the same present give the same plan, so that servers agree on the order
          of lines and on what a group is.

    Lines    condition ─▶ order by time (or `sort`) ─▶ limit          rows
    Groups   condition ─▶ group by keys ─▶ count                      one row per group
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from verdant.logs.errors import BadQuery
from verdant.logs.query.filters import column_of, compile_condition, number_of, severity
from verdant.logs.query.syntax import parse_query
from verdant.logs.query.times import parse_time
from verdant.logs.query.tree import (
    Bucket,
    Count,
    Fields,
    Head,
    Key,
    Node,
    Percentiles,
    Pipe,
    Sort,
)

__all__ = ["Order", "Plan", "columns_of", "make_plan"]

Order = Literal["newest", "oldest"]

Sql = tuple[str, list[object]]


@dataclass(frozen=True, slots=True)
class Plan:
    """What to find, how to group it, and what is left to do with all servers' rows (`pipes`).

    `until_ns` is the first nanosecond that is out; `order` the direction of time, unless `sort`.
    """

    where: Node | None
    condition: str
    parameters: tuple[object, ...]
    since_ns: int | None
    until_ns: int | None
    limit: int
    order: Order
    grouping: Count | Percentiles | None = None
    sort: Sort | None = None
    pipes: tuple[Pipe, ...] = ()

    def conditions(self) -> Sql:
        """The condition with its times."""
        conditions = [self.condition]
        parameters = list(self.parameters)
        if self.since_ns is not None:
            conditions.append("t >= ?")
            parameters.append(self.since_ns)
        if self.until_ns is not None:
            conditions.append("t < ?")
            parameters.append(self.until_ns)
        if isinstance(self.grouping, Count) and self.grouping.present:
            column, values = _key(self.grouping.keys[0])
            conditions.append(f"{column} IS NOT NULL")
            parameters += values
        return " AND ".join(conditions), parameters

    def group_select(self) -> tuple[list[Sql], Sql | None]:
        """The keys of a group, and for percentiles the number that is counted."""
        grouping = self.grouping
        if grouping is None:
            return [], None
        keys = [_key(key) for key in grouping.keys]
        if isinstance(grouping, Count):
            return keys, None
        number, values = number_of(grouping.name)
        # Three significant digits: a few thousand groups hold any spread of numbers, and counts of
        # several servers can be added. Percentiles of percentiles would mean nothing.
        return keys, (f"CAST(printf('%.2e', {number}) AS DOUBLE)", values)

    def order_by(self) -> Sql:
        """How rows are ordered; the end of it is the same on every server."""
        direction = "DESC" if self.order == "newest" else "ASC"
        by_time = ", ".join(
            f"{name} {direction}" for name in ("t", "client", "epoch", "seq", "idx")
        )
        if self.sort is None:
            return by_time, []
        terms: list[str] = []
        parameters: list[object] = []
        for name, is_descending in self.sort.keys:
            for expression, values in _sort_keys(name):
                terms.append(f"{expression} {'DESC' if is_descending else 'ASC'} NULLS LAST")
                parameters += values
        return ", ".join([*terms, by_time]), parameters


def make_plan(text: str, now_ns: int, *, limit: int = 100, order: Order = "newest") -> Plan:
    """The plan of a query's text. `now_ns`: the present, for relative times. Raises `BadQuery`."""
    query = parse_query(text)
    condition, parameters = compile_condition(query.where)
    since_ns = None if query.since is None else parse_time(query.since[0], now_ns, query.since[1])
    until_ns = None if query.until is None else parse_time(query.until[0], now_ns, query.until[1])
    if since_ns is not None and until_ns is not None and query.until and since_ns >= until_ns:
        raise BadQuery("expected a time behind the query's beginning", query.until[1])
    grouping, sort, pipes = _split(query.pipes)
    wanted = query.limit or limit
    if grouping is None:
        wanted = _first_head(pipes, wanted, sort)
    plan = Plan(
        query.where, condition, tuple(parameters), since_ns, until_ns, wanted, order,
        grouping, sort, pipes,
    )  # fmt: skip
    _check_sorts(plan)
    return plan


def columns_of(grouping: Count | Percentiles) -> tuple[str, ...]:
    """The names of a grouped answer's columns."""
    keys = tuple("time" if isinstance(key, Bucket) else key for key in grouping.keys)
    if isinstance(grouping, Count):
        return (*keys, "count")
    return (*keys, *(f"p{percent:g}" for percent in grouping.percents))


def _split(
    pipes: tuple[Pipe, ...],
) -> tuple[Count | Percentiles | None, Sort | None, tuple[Pipe, ...]]:
    if pipes and isinstance(pipes[0], Count | Percentiles):
        return pipes[0], None, pipes[1:]
    # A sort before any head is over all lines, so it is the servers' work.
    for pipe in pipes:
        if isinstance(pipe, Sort):
            return None, pipe, pipes
        if not isinstance(pipe, Fields):
            break
    return None, None, pipes


def _first_head(pipes: tuple[Pipe, ...], limit: int, sort: Sort | None) -> int:
    # `head` says how many lines servers give, whatever the asker's limit; but not one that counts
    # lines in an order which they do not know.
    heads = []
    for pipe in pipes:
        if isinstance(pipe, Sort) and pipe is not sort:
            break
        if isinstance(pipe, Head):
            heads.append(pipe.count)
    return min(heads, default=limit)


def _check_sorts(plan: Plan) -> None:
    if plan.grouping is None:
        return
    columns = columns_of(plan.grouping)
    for pipe in plan.pipes:
        if isinstance(pipe, Fields):
            columns = tuple(name for name in columns if name in pipe.names)
        elif isinstance(pipe, Sort):
            for name, _ in pipe.keys:
                if name not in columns:
                    raise BadQuery(
                        f"there is no column {name!r} to sort by: expected one of "
                        f"{', '.join(columns)}",
                        pipe.position,
                    )


def _key(key: Key) -> Sql:
    if isinstance(key, str):
        return _name(key)
    # Rounded down also before 1970.
    span = key.span_ns
    return f"t - ((t % {span}) + {span}) % {span}", []


def _name(name: str) -> Sql:
    return ("level", []) if name == "level" else column_of(name)


def _sort_keys(name: str) -> list[Sql]:
    if name in ("time", "t"):
        return [("t", [])]
    if name == "level":
        return [(severity, [])]
    return [number_of(name), column_of(name)]
