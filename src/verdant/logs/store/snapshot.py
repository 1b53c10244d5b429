"""Snapshot: what a store held at one moment.

Place     logs/store.
Promise   its files are there until `close`; lines that come later are not seen.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa

from verdant.logs.store.columns import SCHEMA

if TYPE_CHECKING:
    from collections.abc import Callable

    from verdant.logs.query import Plan
    from verdant.logs.ranges import BatchRange
    from verdant.logs.store.segment import Segment

__all__ = ["Snapshot"]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """`tables`: unsealed lines with their first positions; `end`: behind the last line."""

    segments: tuple[Segment, ...]
    tables: tuple[tuple[int, pa.Table], ...]
    tail_batches: tuple[BatchRange, ...]
    end: int
    lease: int
    release: Callable[[int], None]

    def close(self) -> None:
        """Let go of the files. A second time does nothing."""
        self.release(self.lease)

    def matching(self, plan: Plan) -> list[Segment]:
        """Segments that may have lines for `plan`."""
        return [segment for segment in self.segments if segment.may_have(plan)]

    def unsealed(self, after: int = 0) -> pa.Table:
        """Unsealed lines of the batches that reach beyond position `after`."""
        tables = [table for first, table in self.tables if first + table.num_rows > after]
        return pa.concat_tables(tables) if tables else SCHEMA.empty_table()

    def lost(self, after: int, end: int) -> int:
        """Positions from `after` up to `end` that no file or table covers any more."""
        spans = [(segment.first, segment.last + 1) for segment in self.segments]
        spans += [(first, first + table.num_rows) for first, table in self.tables]
        lost = 0
        reached = after
        for first, behind in sorted(spans):
            if first >= end:
                break
            lost += max(0, first - reached)
            reached = max(reached, behind)
        return lost + max(0, end - reached)
