"""Lines for tests of the log room: batches of them, and what a store has."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from verdant.logs import Record
from verdant.logs.codec import Batch, BatchId, compress
from verdant.logs.query import make_plan, make_table
from verdant.logs.record import encode_line
from verdant.logs.store import Search

if TYPE_CHECKING:
    from collections.abc import Sequence

    from verdant.logs.query import Cell, Order, Table
    from verdant.logs.store import Row, Store

MSG = 5
NOW_NS = 1_800_000_000_000_000_000


def pack(records: Sequence[Record], seq: int, client: str = "c") -> Batch:
    body = b"".join(map(encode_line, records))
    return Batch(BatchId(client, 1, seq), len(records), compress(body))


def batch(seq: int, lines: int = 10, client: str = "c", app: str = "web") -> Batch:
    records = [
        Record(time.time_ns(), app, "h", "INFO", f"{seq}/{n}", {"n": n}) for n in range(lines)
    ]
    return pack(records, seq, client)


def find(store: Store, text: str = "", limit: int = 50_000, order: Order = "newest") -> list[Row]:
    search = Search(store)
    try:
        plan = make_plan(text, NOW_NS, limit=limit, order=order)
        return [row for page in search.lines(plan) for row in page.rows]
    finally:
        search.close()


def count(store: Store, text: str) -> Table:
    search = Search(store)
    try:
        plan = make_plan(text, NOW_NS)
        groups: list[tuple[Cell, ...]] = [
            tuple(cell if isinstance(cell, str | int | float) else None for cell in row)
            for row in search.groups(plan)
        ]
        return make_table(plan, groups)
    finally:
        search.close()


def messages(store: Store) -> list[str]:
    return [str(row[MSG]) for row in find(store)]
