"""Protocol: questions to a log server and its answers, as JSON documents in ZeroMQ frames.

Place     logs, pure. server/answerer.py answers, client/reader.py asks.

    ask     [b"", question]            from REQ; a DEALER sends the empty frame itself
    answer  [b"", answer, page, ...]   rows in pages, so that none is parsed in one long stall

A question with `after` follows the store by position: the answer has what came after it, in the
order of arrival, and the position to ask from next. Times are nanoseconds since 1970, UTC.
"""

from __future__ import annotations

from typing import Literal

import msgspec

__all__ = ["ROWS_MAX", "Answer", "Question", "Row"]

# Rows of one answer: what a terminal or a test can use; beyond it, ask for a narrower time.
ROWS_MAX = 50_000


class Question(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What to find. `text`: the query language; `after`: follow from this position instead."""

    text: str = ""
    limit: int = 100
    order: Literal["newest", "oldest"] = "newest"
    after: int | None = None
    # Seconds the server may wait for the first row when following.
    wait_s: float = 0.0
    # The asker's clock, for relative times: the same for every server.
    now_ns: int = 0


class Row(msgspec.Struct, frozen=True, array_like=True):
    """One line as stored. (client, epoch, seq, idx) is its identity across servers."""

    t: int
    received: int
    app: str
    host: str
    level: str
    msg: str
    fields: str
    client: str
    epoch: int
    seq: int
    idx: int
    pos: int

    @property
    def identity(self) -> tuple[str, int, int, int]:
        """The same wherever the line is stored; equal for a batch that was stored twice."""
        return self.client, self.epoch, self.seq, self.idx


class Answer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The answer's first frame; the rows are in the frames behind it."""

    server: str
    rows: int = 0
    # Where following goes on.
    end: int = 0
    # True when there was more than `limit` or `ROWS_MAX`.
    truncated: bool = False
    error: str | None = None
    # Where in the question's text the error is, when it is there.
    position: int | None = None
