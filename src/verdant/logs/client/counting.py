"""Counting: groups of several servers, each line counted once.

Place     logs/client.
Promise   the counts are those that one server with every line would give. A batch that two servers
          have is counted at one of them: each says first which batches it has, then counts without
          those that a server before it counts, and without what came in between.

A server that falls silent between the two questions is left out of the second try, so that its
batches are counted where there is another copy of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from verdant.logs.errors import QueryStopped
from verdant.logs.query import make_table
from verdant.logs.ranges import BatchRange, KnownBatches

if TYPE_CHECKING:
    from verdant.logs.client.reader import Found, Reader
    from verdant.logs.protocol import Question
    from verdant.logs.query import Plan

__all__ = ["count_groups"]

# Ranges of batches in one question; a server takes no longer ones.
EXCLUDED_MAX = 10_000


def count_groups(reader: Reader, question: Question, plan: Plan, found: Found) -> Found:
    """Fill `found.table`. Parks. Raises `BadQuery`."""
    if len(reader.servers) == 1:
        answers = reader.ask_all(msgspec.structs.replace(question, kind="groups"), found)
    else:
        answers = {}
        first = reader.ask_all(msgspec.structs.replace(question, kind="batches"), found)
        has = {server: [_range(row) for row in rows] for server, (_, rows) in first.items()}
        while has:
            counted = KnownBatches()
            questions = {}
            for server, ranges in has.items():
                excluded = counted.overlap(ranges)
                if len(excluded) > EXCLUDED_MAX:
                    raise QueryStopped(
                        f"two servers share batches in more than {EXCLUDED_MAX} places: ask for a "
                        "shorter time"
                    )
                questions[server] = msgspec.structs.replace(
                    question,
                    kind="groups",
                    excluded=excluded,
                    before=first[server][0].end,
                )
                for piece in ranges:
                    counted.add(*piece)
            answers = reader.ask_all(questions, found)
            if len(answers) == len(has):
                break
            has = {server: has[server] for server in answers}
    rows = [row for _, rows in answers.values() for row in rows]
    found.table = make_table(plan, rows)
    return found


def _range(row: list[object]) -> BatchRange:
    client, epoch, first, last = msgspec.convert(row, tuple[str, int, int, int])
    return client, epoch, first, last
