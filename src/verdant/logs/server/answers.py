"""Answers: what each kind of question comes to, as frames.

Place     logs/server. Blocking: the answerer takes it step by step in native worker threads.
Promise   an answer's pages are small enough to be encoded and parsed without a pause; the last
          answer of each question has no `more`.
"""

from __future__ import annotations

import time
from datetime import date, datetime
from typing import TYPE_CHECKING

import msgspec

from verdant.logs.errors import QueryStopped
from verdant.logs.protocol import ANCHORS_MAX, CONTEXT_MAX, ROWS_MAX, Answer, Question
from verdant.logs.query import Plan, make_plan, make_table
from verdant.logs.store import Search

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from verdant.logs.protocol import Anchor
    from verdant.logs.query import Cell, Order
    from verdant.logs.store import Place, Row, Store

__all__ = ["PAGE_ROWS", "Answers", "encode"]

# Rows of one page: what is encoded and parsed without a pause.
PAGE_ROWS = 1000

# NaN and such have no JSON; times of the engine are written as people do.
encode = msgspec.json.Encoder(enc_hook=str).encode


class Answers:
    """Answers of the server `name` from `store`."""

    def __init__(self, store: Store, name: str) -> None:
        self._store = store
        self._name = name

    def search(self) -> Search:
        """A search in the store as it is now."""
        return Search(self._store)

    def steps(self, search: Search, question: Question) -> Iterator[list[bytes]]:
        """Each answer's frames in turn. Blocks. Raises `BadQuery`, `QueryStopped`."""
        if question.kind == "sql":
            yield self._sql(search, question)
            return
        limit = max(1, min(question.limit, ROWS_MAX))
        now_ns = question.now_ns or time.time_ns()
        if question.kind == "around":
            yield self._around(search, question, limit)
            return
        plan = make_plan(question.text, now_ns, limit=limit, order=question.order)
        if question.kind == "batches":
            ranges = search.batches(plan)
            yield self._frames(Answer(server=self._name, rows=len(ranges), end=search.end), ranges)
        elif question.kind == "groups":
            groups = search.groups(plan, question.excluded, question.before)
            yield self._frames(Answer(server=self._name, rows=len(groups), end=search.end), groups)
        elif plan.grouping is not None:
            table = make_table(plan, _cells(search.groups(plan)))
            answer = Answer(server=self._name, rows=len(table.rows), columns=list(table.columns))
            yield self._frames(answer, table.rows)
        else:
            yield from self._lines(search, plan, question)

    def _lines(self, search: Search, plan: Plan, question: Question) -> Iterator[list[bytes]]:
        waiting: list[Row] = []
        count = 0
        for page in search.lines(plan, question.place):
            count += len(page.rows)
            waiting += page.rows
            # REQ takes one answer, so all of it waits for the end.
            if question.stream and page.reached_ns is not None:
                answer = Answer(
                    server=self._name, rows=len(waiting), more=True, reached_ns=page.reached_ns
                )
                yield self._frames(answer, waiting)
                waiting = []
        answer = Answer(server=self._name, rows=len(waiting), truncated=count >= plan.limit)
        yield self._frames(answer, waiting)

    def _around(self, search: Search, question: Question, limit: int) -> list[bytes]:
        rows: list[Row] = []
        count = min(limit, CONTEXT_MAX)
        for anchor in question.anchors[:ANCHORS_MAX]:
            if search.closed:
                raise QueryStopped("the search was stopped before its end")
            place = (anchor.t, anchor.client, anchor.epoch, anchor.seq, anchor.idx)
            for order in ("newest", "oldest"):
                part = Search(self._store)
                try:
                    rows += _neighbours(part, anchor, place, count, order)
                finally:
                    part.close()
        return self._frames(Answer(server=self._name, rows=len(rows), end=search.end), rows)

    def _sql(self, search: Search, question: Question) -> list[bytes]:
        limit = max(1, min(question.limit, ROWS_MAX))
        columns, found = search.sql(question.text, limit + 1)
        rows = [tuple(map(_plain, row)) for row in found[:limit]]
        answer = Answer(
            server=self._name, rows=len(rows), columns=columns, truncated=len(found) > limit
        )
        return self._frames(answer, rows)

    @staticmethod
    def _frames(answer: Answer, rows: Sequence[object]) -> list[bytes]:
        pages = [rows[start : start + PAGE_ROWS] for start in range(0, len(rows), PAGE_ROWS)]
        return [encode(answer), *map(encode, pages)]


def _neighbours(
    search: Search, anchor: Anchor, place: Place, count: int, order: Order
) -> list[Row]:
    text = f"app={_quoted(anchor.app)} host={_quoted(anchor.host)}"
    plan = make_plan(text, 0, limit=count, order=order)
    return [row for page in search.lines(plan, place) for row in page.rows]


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _cells(groups: Sequence[Row]) -> list[tuple[Cell, ...]]:
    # The engine's own: text, numbers and nothing else.
    return [tuple(c if isinstance(c, str | int | float) else None for c in row) for row in groups]


def _plain(cell: object) -> object:
    if cell is None or isinstance(cell, bool | int | float | str):
        return cell
    if isinstance(cell, datetime | date):
        return cell.isoformat()
    if isinstance(cell, list | tuple):
        return [_plain(item) for item in cell]
    if isinstance(cell, dict):
        return {str(name): _plain(item) for name, item in cell.items()}
    return str(cell)
