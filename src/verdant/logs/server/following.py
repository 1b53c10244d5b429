"""Following: lines by position, as they are stored.

Place     logs/server, on the store.
Promise   what a follower gets, one answer behind the other, is every matching line from where it
          began, once, in the order of arrival. Where lines are left out the answer says how many.
          A position of another store is known by the store's name.

A follower that asks for nothing but the newest lines may be moved on (`behind_max`): a screen that
shows two hundred lines a second cannot show twenty thousand, and a minute ago is not "live".
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from verdant.core import monotonic, run_in_worker, sleep
from verdant.logs.protocol import ROWS_MAX, Answer
from verdant.logs.query import make_plan
from verdant.logs.server.answers import PAGE_ROWS, encode
from verdant.logs.store import Search

if TYPE_CHECKING:
    from verdant.logs.protocol import Question
    from verdant.logs.query import Plan
    from verdant.logs.store import Row, Store
    from verdant.sync import Event

__all__ = ["follow"]

# However long a follower asks to be held.
WAIT_S_MAX = 10.0
# Between two looks: commits come every few milliseconds, and each look costs an engine.
LOOK_S_MIN = 0.05


def follow(store: Store, name: str, question: Question, stored: Event) -> list[bytes]:
    """The next answer for a follower; waits for a line if it may. Parks. Raises `BadQuery`."""
    limit = max(1, min(question.limit, ROWS_MAX))
    plan = make_plan(question.text, question.now_ns or time.time_ns(), limit=limit)
    after = question.after
    if after is None or after < 0:
        # Only asked where following would begin.
        return [encode(Answer(server=name, end=store.end, store=store.identity))]
    gap = 0
    if after > store.end or question.store not in ("", store.identity):
        after, gap = 0, -1
    deadline = monotonic() + min(question.wait_s, WAIT_S_MAX)
    while True:
        # Lowered before looking: what is stored while we look raises it again.
        stored.clear()
        rows, end, lost = run_in_worker(_look, store, plan, after, question.behind_max)
        gap = gap + lost if gap >= 0 else gap
        left = deadline - monotonic()
        if rows or gap or left <= 0:
            answer = Answer(
                server=name, rows=len(rows), end=end, store=store.identity, gap=gap,
                truncated=len(rows) >= limit,
            )  # fmt: skip
            pages = [rows[start : start + PAGE_ROWS] for start in range(0, len(rows), PAGE_ROWS)]
            return [encode(answer), *map(encode, pages)]
        after = end
        stored.wait(left)
        sleep(min(LOOK_S_MIN, max(0.0, deadline - monotonic())))


def _look(store: Store, plan: Plan, after: int, behind_max: int) -> tuple[list[Row], int, int]:
    # In a worker: rows, where to go on, lines that are lost to this follower.
    search = Search(store)
    try:
        lost = 0
        if behind_max and search.end - after > behind_max:
            moved = search.end - behind_max
            lost, after = moved - after, moved
        rows, end = search.after(plan, after)
        return rows, end, lost + search.lost(after, end)
    finally:
        search.close()
