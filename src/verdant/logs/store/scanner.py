"""Scanner: find lines, groups of lines and batches in a store.

Place     logs/store. Blocking; runs in native worker threads, on a snapshot of its own.
Promise   a line is found once, sealed or not, by one and the same statement. What a user wrote
          reaches SQL as parameters only, but for `sql`, which runs in the same box. Segments that
          cannot have a matching line are not opened. `cancel` may come from any thread.

Lines are searched from the end that is asked for: the newest segments first, then twice as many,
until no segment that is left can have a line before those that were found. So the last hundred
lines of a year cost one segment, and rows are given out while older ones are still looked for.
"""

from __future__ import annotations

import threading
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

import duckdb
import pyarrow as pa
import pyarrow.compute

from verdant.logs.errors import BadQuery, QueryStopped
from verdant.logs.query import only_app
from verdant.logs.ranges import KnownBatches
from verdant.logs.store.columns import COLUMNS
from verdant.logs.store.engine import Engine, Row, quoted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from verdant.logs.query import Plan
    from verdant.logs.ranges import BatchRange
    from verdant.logs.store.writer import Store

__all__ = ["GROUPS_MAX", "Place", "Search", "SearchPage"]

# Groups of one answer: what a terminal or a chart can use, and what a reader merges in a moment.
GROUPS_MAX = 50_000

# How many times the lines that are asked for should be in the first stretch of time that is looked
# at: lines come in bursts, and a second look costs more than a longer one.
WINDOW_FACTOR = 8

_SELECT = ", ".join(COLUMNS)
_POSITION = COLUMNS.index("pos")
_IDENTITY = tuple(COLUMNS.index(name) for name in ("t", "client", "epoch", "seq", "idx"))

# Where a page ended: time and identity of its last line.
Place = tuple[int, str, int, int, int]


class SearchPage(NamedTuple):
    """`rows` that nothing can come before any more; all lines up to `reached_ns` were looked at."""

    rows: list[Row]
    reached_ns: int | None


class _Source(NamedTuple):
    # None: the tail.
    path: Path | None
    t_min: int = 0
    t_max: int = 0
    lines: int = 0
    # The tail does not know; there it is not worth counting.
    by_app: Mapping[str, int] = MappingProxyType({})


class Search:
    """One search in `store`, which keeps its files until `close`."""

    def __init__(self, store: Store) -> None:
        self._snapshot = store.snapshot()
        self._engines = store.engines
        self._lock = threading.Lock()
        # Guarded by _lock: the search runs in one thread, and is called off from another.
        self._engine: Engine | None = None
        self._closed = False
        self.end = self._snapshot.end

    def close(self) -> None:
        """Stop and let go. From any thread; a second time does nothing."""
        with self._lock:
            self._closed = True
            if self._engine is not None:
                self._engine.cancel()
        self._snapshot.close()

    @property
    def closed(self) -> bool:
        """True when it was stopped, or is done."""
        return self._closed

    def _start(self, engine: Engine) -> Engine:
        with self._lock:
            self._engine = engine
            if self._closed:
                engine.cancel()
        return engine

    def lines(self, plan: Plan, place: Place | None = None) -> Iterator[SearchPage]:
        """Lines that meet `plan`, in its order, from behind `place`, page by page. Blocks."""
        if place is not None:
            plan = _bounded(plan, place)
        unsealed = self._snapshot.unsealed()
        sources = self._sources(plan, unsealed)
        engine = self._start(self._engines.open(unsealed))
        if plan.sort is not None:
            rows = self._select(engine, plan, sources, place, plan.limit)
            yield SearchPage(rows, None)
            return
        is_newest = plan.order == "newest"
        sources.sort(key=lambda each: each.t_max if is_newest else -each.t_min, reverse=True)
        held: list[Row] = []
        left = plan.limit
        taken, step = 0, 1
        while taken < len(sources) and left:
            some = sources[taken : taken + step]
            taken, step = taken + step, step * 2
            for window in self._windows(plan, some, left):
                if len(held) == left:
                    # Only what comes before the last that is held can matter.
                    edge = _time_of(held[-1])
                    window = _within(window, *((edge, None) if is_newest else (None, edge + 1)))
                if not _is_empty(window):
                    held += self._select(engine, window, some, place, left)
                    held.sort(key=place_of, reverse=is_newest)
                    del held[left:]
            rest = sources[taken:]
            reached = (
                None if not rest
                else max(each.t_max for each in rest) if is_newest
                else min(each.t_min for each in rest)
            )  # fmt: skip
            final = len(held) if reached is None else _count_final(held, reached, is_newest)
            yield SearchPage(held[:final], reached)
            left -= final
            del held[:final]

    def groups(
        self, plan: Plan, excluded: Sequence[BatchRange] = (), before: int | None = None
    ) -> list[Row]:
        """Keys and count of each group, without lines of `excluded` batches or from `before` on.

        Raises `QueryStopped` for more than `GROUPS_MAX` groups. Blocks.
        """
        unsealed = self._snapshot.unsealed()
        sources = self._sources(plan, unsealed)
        engine = self._start(self._engines.open(unsealed))
        keys, counted = plan.group_select()
        selected = [*keys, counted] if counted is not None else keys
        condition, parameters = plan.conditions()
        if excluded:
            engine.register("excluded", _table_of_ranges(excluded))
            condition += (
                " AND NOT EXISTS (SELECT 1 FROM excluded AS e WHERE e.client = lines.client"
                " AND e.epoch = lines.epoch AND lines.seq BETWEEN e.first AND e.last)"
            )
        if before is not None:
            condition += " AND pos < ?"
            parameters.append(before)
        names = ", ".join(expression for expression, _ in selected)
        values = [value for _, some in selected for value in some]
        numbers = ", ".join(str(number + 1) for number in range(len(selected)))
        statement = (
            f"SELECT {names + ', ' if names else ''}count(*) FROM ({_union(sources)}) AS lines "
            f"WHERE {condition}{' GROUP BY ' + numbers if numbers else ''} "
            f"LIMIT {GROUPS_MAX + 1}"
        )
        _, rows = engine.fetch(statement, [*values, *parameters], GROUPS_MAX + 1)
        if len(rows) > GROUPS_MAX:
            raise QueryStopped(
                f"there are more than {GROUPS_MAX} groups: group by fewer keys, or by longer times"
            )
        return rows

    def batches(self, plan: Plan) -> list[BatchRange]:
        """Batches that may have lines for `plan`."""
        known = KnownBatches(self._snapshot.tail_batches)
        for segment in self._snapshot.matching(plan):
            for piece in segment.batches:
                known.add(*piece)
        return list(known.ranges())

    def after(self, plan: Plan, position: int) -> tuple[list[Row], int]:
        """Lines from `position` on, in the order of arrival, and where to go on. Blocks."""
        segments = [each for each in self._snapshot.segments if each.last >= position]
        unsealed = self._snapshot.unsealed(position)
        sources = [_Source(each.path) for each in segments]
        sources.append(_Source(None))
        if not segments and not unsealed.num_rows:
            return [], self.end
        engine = self._start(self._engines.open(unsealed))
        # Times bound where following begins, not what it goes on with.
        statement = (
            f"SELECT {_SELECT} FROM ({_union(sources)}) WHERE pos >= ? AND {plan.condition} "
            "ORDER BY pos LIMIT ?"
        )
        values = [position, *plan.parameters, plan.limit]
        _, rows = engine.fetch(statement, values, plan.limit)
        if len(rows) < plan.limit:
            return rows, self.end
        last = rows[-1][_POSITION]
        assert isinstance(last, int)
        return rows, last + 1

    def sql(self, text: str, rows_max: int) -> tuple[list[str], list[Row]]:
        """What the SELECT `text` finds in the view `lines`. Blocks. Raises `BadQuery`."""
        try:
            statements = duckdb.extract_statements(text)
        except duckdb.Error as exc:
            raise BadQuery(f"this SQL cannot be read ({exc})", 0) from exc
        if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
            raise BadQuery("expected one SELECT statement: SQL may look at lines, not change", 0)
        segments = self._snapshot.segments
        sources = [*(_Source(each.path) for each in segments), _Source(None)]
        view = f"SELECT make_timestamp_ns(t) AS time, * FROM ({_union(sources)})"
        paths = [each.path for each in segments]
        engine = self._start(self._engines.open_box(paths, self._snapshot.unsealed(), view))
        try:
            return engine.fetch(text, [], rows_max)
        except duckdb.Error as exc:
            raise BadQuery(f"the engine refuses this SQL ({exc})", 0) from exc

    def lost(self, after: int, end: int) -> int:
        """Lines from position `after` up to `end` that are not kept any more."""
        return self._snapshot.lost(after, end)

    def _sources(self, plan: Plan, unsealed: pa.Table) -> list[_Source]:
        found = []
        for each in self._snapshot.matching(plan):
            by_app = {app: share.lines for app, share in each.shares.items()}
            found.append(_Source(each.path, each.t_min, each.t_max, each.lines, by_app))
        if unsealed.num_rows:
            times = pa.compute.min_max(unsealed["t"]).as_py()
            found.append(_Source(None, times["min"], times["max"], unsealed.num_rows))
        return found

    @staticmethod
    def _windows(plan: Plan, sources: Sequence[_Source], left: int) -> list[Plan]:
        """`plan` in two parts of time: where the lines should be, and the rest."""
        app = only_app(plan.where)
        lines = sum(each.lines if app is None else each.by_app.get(app, 0) for each in sources)
        first, last = min(each.t_min for each in sources), max(each.t_max for each in sources)
        if lines <= 2 * WINDOW_FACTOR * left:
            return [plan]
        span = (last - first) * WINDOW_FACTOR * left // lines
        edge = last - span if plan.order == "newest" else first + span
        older, newer = _within(plan, None, edge), _within(plan, edge, None)
        return [newer, older] if plan.order == "newest" else [older, newer]

    @staticmethod
    def _select(
        engine: Engine, plan: Plan, sources: Sequence[_Source], place: Place | None, limit: int
    ) -> list[Row]:
        if not sources:
            return []
        condition, parameters = plan.conditions()
        if place is not None:
            sign = "<" if plan.order == "newest" else ">"
            condition += f" AND (t, client, epoch, seq, idx) {sign} (?, ?, ?, ?, ?)"
            parameters += place
        order, values = plan.order_by()
        statement = (
            f"SELECT {_SELECT} FROM ({_union(sources)}) WHERE {condition} ORDER BY {order} LIMIT ?"
        )
        return engine.fetch(statement, [*parameters, *values, limit], limit)[1]


def place_of(row: Row) -> tuple[object, ...]:
    """Time and identity of a row: the order of lines on every server."""
    return tuple(row[index] for index in _IDENTITY)


def _time_of(row: Row) -> int:
    found = row[0]
    assert isinstance(found, int)
    return found


def _count_final(held: Sequence[Row], reached: int, is_newest: bool) -> int:
    count = 0
    for row in held:
        if _time_of(row) <= reached if is_newest else _time_of(row) >= reached:
            break
        count += 1
    return count


def _bounded(plan: Plan, place: Place) -> Plan:
    after_ns, before_ns = (None, place[0] + 1) if plan.order == "newest" else (place[0], None)
    return _within(plan, after_ns, before_ns)


def _within(plan: Plan, since_ns: int | None, until_ns: int | None) -> Plan:
    """`plan` from `since_ns` up to `until_ns` at the most."""
    if since_ns is not None and (plan.since_ns is None or plan.since_ns < since_ns):
        plan = replace(plan, since_ns=since_ns)
    if until_ns is not None and (plan.until_ns is None or plan.until_ns > until_ns):
        plan = replace(plan, until_ns=until_ns)
    return plan


def _is_empty(plan: Plan) -> bool:
    since_ns, until_ns = plan.since_ns, plan.until_ns
    return since_ns is not None and until_ns is not None and since_ns >= until_ns


def _union(sources: Sequence[_Source]) -> str:
    parts = []
    if names := ", ".join(quoted(each.path) for each in sources if each.path is not None):
        parts.append(f"SELECT {_SELECT} FROM read_parquet([{names}])")
    if any(each.path is None for each in sources) or not parts:
        parts.append(f"SELECT {_SELECT} FROM unsealed")
    return " UNION ALL ".join(parts)


def _table_of_ranges(ranges: Sequence[BatchRange]) -> pa.Table:
    clients, epochs, firsts, lasts = zip(*ranges, strict=True)
    return pa.table(
        {
            "client": pa.array(clients, pa.string()),
            "epoch": pa.array(epochs, pa.int64()),
            "first": pa.array(firsts, pa.int64()),
            "last": pa.array(lasts, pa.int64()),
        }
    )
