"""Protocol: questions to a log server and its answers, as JSON documents in ZeroMQ frames.

Place     logs, pure. server/answerer.py answers, client/asking.py asks.

    ask     [b"", question]            from REQ; a DEALER sends the empty frame itself
    answer  [b"", answer, page, ...]   rows in pages, so that none is parsed in one long stall

To a question with `stream` the server sends as many answers as it takes, `more` in all but the
last: rows go out while older ones are still looked for, and each second one without rows, so that
a server at work is not taken for one that is away. That is for a DEALER; REQ takes one.

    find      lines, or with a counting stage behind a | the table that they come to
    groups    a counting query's groups, for a reader that adds those of several servers
    batches   which batches may have lines for a query, so that none is counted twice
    follow    lines by position: what came after `after`, and the position to ask from next
    around    lines before and behind each of `anchors`, of the same app and host
    sql       one SELECT over the view `lines`
    cancel    stop working on this sender's other questions; has no answer

Times are nanoseconds since 1970, UTC.
"""

from __future__ import annotations

from typing import Literal

import msgspec

__all__ = ["ANCHORS_MAX", "CONTEXT_MAX", "ROWS_MAX", "Anchor", "Answer", "Kind", "Question", "Row"]

# Rows of one answer: what a terminal or a test can use; beyond it, ask for the next page.
ROWS_MAX = 50_000
# Lines around which others are shown, in one question, and how many on each side.
ANCHORS_MAX = 100
CONTEXT_MAX = 100

Kind = Literal["find", "groups", "batches", "follow", "around", "sql", "cancel"]

# Client, epoch, first and last number of batches.
Ranges = list[tuple[str, int, int, int]]


class Anchor(msgspec.Struct, frozen=True, array_like=True):
    """A line by its place in time, and whose neighbours are wanted."""

    t: int
    client: str
    epoch: int
    seq: int
    idx: int
    app: str
    host: str


class Question(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What to find. `text`: the query language, for `sql` SQL."""

    kind: Kind = "find"
    text: str = ""
    limit: int = 100
    order: Literal["newest", "oldest"] = "newest"
    stream: bool = False
    # The asker's clock, for relative times: the same for every server.
    now_ns: int = 0
    # The last line of the page before: time, client, epoch, seq, idx.
    place: tuple[int, str, int, int, int] | None = None
    # follow: from this position of this store (by itself: of whatever store there is); below 0
    # only asks where following would begin.
    after: int | None = None
    store: str = ""
    # follow: seconds the server may wait for the first row, and lines that the asker may be
    # behind; a slower one is moved on, and told of the gap. 0: never.
    wait_s: float = 0.0
    behind_max: int = 0
    # groups: without these batches, and without lines from position `before` on.
    excluded: Ranges = []
    before: int | None = None
    # around: these lines' neighbours, `limit` on each side.
    anchors: list[Anchor] = []


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

    @property
    def place(self) -> tuple[int, str, int, int, int]:
        """Where it stands among all lines, on every server: time, then identity."""
        return self.t, self.client, self.epoch, self.seq, self.idx


class Answer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The answer's first frame; the rows are in the frames behind it."""

    server: str
    rows: int = 0
    # True when another answer to the same question follows.
    more: bool = False
    # Up to where time was searched, while there is more.
    reached_ns: int | None = None
    # follow: where it goes on, and in which store. groups and batches: behind the last line.
    end: int = 0
    store: str = ""
    # follow: lines that were stored and will not be shown: not kept any more, or skipped for an
    # asker that is too far behind. Below 0: it is another store, nobody knows how many.
    gap: int = 0
    # True when there was more than `limit` or `ROWS_MAX`.
    truncated: bool = False
    # The names of the rows' cells, when they are not lines.
    columns: list[str] | None = None
    error: str | None = None
    # Where in the question's text the error is, when it is there.
    position: int | None = None
