"""Scanner: find lines with DuckDB.

Place     logs/store. Blocking; runs in native worker threads, on a snapshot of its own.
Promise   a line is found once, sealed or not. What a user wrote reaches SQL as parameters only;
          the engine may not touch files beyond the segments, or the network, and has a memory
          bound. Segments outside the asked times are not opened.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import duckdb
import pyarrow as pa

from verdant.logs.store.segment import COLUMNS

if TYPE_CHECKING:
    from verdant.logs.store.writer import Snapshot, Store

__all__ = ["Scan", "follow", "scan"]

# Of one query. Sorting a page of the newest lines needs far less.
MEMORY_LIMIT = "512MB"
THREADS = 2

_SELECT = ", ".join(COLUMNS)

Row = tuple[object, ...]


@dataclass(frozen=True, slots=True)
class Scan:
    """What to find: a condition over the columns with `?` for each of `parameters`, and times."""

    condition: str = "true"
    parameters: tuple[object, ...] = ()
    since_ns: int | None = None
    until_ns: int | None = None
    limit: int = 100
    order: Literal["newest", "oldest"] = "newest"


def scan(store: Store, wanted: Scan) -> list[Row]:
    """Lines that meet `wanted`, in its order. Blocks."""
    conditions = [f"({wanted.condition})"]
    parameters = list(wanted.parameters)
    if wanted.since_ns is not None:
        conditions.append("t >= ?")
        parameters.append(wanted.since_ns)
    if wanted.until_ns is not None:
        conditions.append("t < ?")
        parameters.append(wanted.until_ns)
    direction = "DESC" if wanted.order == "newest" else "ASC"
    tail = f"WHERE {' AND '.join(conditions)} ORDER BY t {direction}, pos {direction} LIMIT ?"
    snapshot = store.snapshot()
    paths = [
        str(segment.path)
        for segment in snapshot.segments
        if (wanted.since_ns is None or segment.t_max >= wanted.since_ns)
        and (wanted.until_ns is None or segment.t_min < wanted.until_ns)
    ]
    return _select(snapshot, paths, tail, [*parameters, wanted.limit])


def follow(store: Store, after: int, wanted: Scan) -> tuple[list[Row], int]:
    """Lines from position `after` on, in order of arrival, and where to go on. Blocks."""
    snapshot = store.snapshot()
    paths = [str(segment.path) for segment in snapshot.segments if segment.last >= after]
    tail = f"WHERE pos >= ? AND ({wanted.condition}) ORDER BY pos LIMIT ?"
    rows = _select(snapshot, paths, tail, [after, *wanted.parameters, wanted.limit])
    if len(rows) == wanted.limit:
        last = rows[-1][-1]
        return rows, int(last) + 1 if isinstance(last, int) else snapshot.end
    return rows, snapshot.end


def _select(snapshot: Snapshot, paths: list[str], tail: str, parameters: list[object]) -> list[Row]:
    sources = []
    with duckdb.connect(":memory:") as connection:
        connection.execute(f"SET memory_limit = '{MEMORY_LIMIT}'; SET threads = {THREADS}")
        if paths:
            # Names that this store made, not a user's text.
            names = ", ".join("'" + path.replace("'", "''") + "'" for path in paths)
            connection.execute(f"SET allowed_paths = [{names}]")
            sources.append(f"SELECT {_SELECT} FROM read_parquet([{names}])")
        connection.execute("SET enable_external_access = false; SET lock_configuration = true")
        if snapshot.tables:
            connection.register("unsealed", pa.concat_tables(snapshot.tables))
            sources.append(f"SELECT {_SELECT} FROM unsealed")
        if not sources:
            return []
        statement = f"SELECT * FROM ({' UNION ALL '.join(sources)}) {tail}"
        return connection.execute(statement, parameters).fetchall()
