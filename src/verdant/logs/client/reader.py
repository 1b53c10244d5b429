"""Reader: ask all servers, merge their answers.

Place     logs/client, on green ZeroMQ.
Promise   a line stored twice is shown once and counted once; a server that does not answer, or not
          to the end, is named. Rows come as soon as they are known to be next.
Not here  what a query means (query/), following (follower.py), how rows look (the command line).
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from verdant.core import spawn
from verdant.logs.client.asking import ask, ask_once, convert_rows
from verdant.logs.client.counting import count_groups
from verdant.logs.client.follower import Follower
from verdant.logs.client.merging import Merging
from verdant.logs.client.pages import decode_page, encode_page
from verdant.logs.client.rows import apply_pipes
from verdant.logs.errors import BadQuery, ServerAway
from verdant.logs.protocol import ANCHORS_MAX, CONTEXT_MAX, Anchor, Question, Row
from verdant.logs.query import Plan, Sort, Table, make_plan
from verdant.sync import Queue
from verdant.zmq import Context

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from verdant.logs.query import Order
    from verdant.zmq.security import ClientSecurity

__all__ = ["Found", "Reader", "Results"]

# A server at work says so each second.
ASK_S_MAX = 10.0
# Answers that wait to be merged, of one server: each is some thousand rows.
WAITING_MAX = 4


@dataclass(slots=True)
class Found:
    """Rows in order, or a counting query's `table`.

    `missing`: endpoints whose lines are not, or not all, here. `page`: asks for the rows behind
    these; None when there are none.
    """

    rows: list[Row]
    missing: list[str]
    truncated: bool = False
    table: Table | None = None
    page: str | None = None
    # By endpoint, why.
    reasons: dict[str, str] = field(default_factory=dict)


class Results:
    """Rows as they come; iterate once. What is known at the end is in `found`."""

    def __init__(self, reader: Reader, question: Question, plan: Plan) -> None:
        self.found = Found([], [])
        self._reader = reader
        self._question = question
        self._plan = plan

    def __iter__(self) -> Iterator[Row]:
        plan = self._plan
        if any(isinstance(pipe, Sort) for pipe in plan.pipes):
            # What is first is known when all is there.
            yield from apply_pipes(self._unique(), plan)
            return
        limit = plan.limit
        last: Row | None = None
        for count, row in enumerate(self._merged()):
            if count == limit:
                self.found.truncated = True
                break
            last = row
            yield row
        if last is not None and self.found.truncated:
            self.found.page = encode_page(last, self._question.now_ns)

    def _merged(self) -> Iterator[Row]:
        servers = self._reader.servers
        queue: Queue[tuple[str, list[Row] | None, int | None]] = Queue(WAITING_MAX * len(servers))
        merging = Merging(servers, is_newest=self._plan.order == "newest")
        threads = [spawn(self._drain, server, queue, name=f"ask {server}") for server in servers]
        try:
            while merging.open:
                server, rows, reached_ns = queue.get()
                if rows is None:
                    merging.finish(server)
                else:
                    merging.add(server, rows, reached_ns)
                yield from merging.take()
        finally:
            for thread in threads:
                thread.cancel()
            for thread in threads:
                thread.join()
        for thread in threads:
            # A query that nobody can read.
            thread.wait()

    def _drain(self, server: str, queue: Queue[tuple[str, list[Row] | None, int | None]]) -> None:
        try:
            for answer, rows in self._reader.ask(server, self._question):
                self.found.truncated = self.found.truncated or answer.truncated
                queue.put((server, convert_rows(Row, rows), answer.reached_ns))
        except ServerAway as exc:
            self.found.missing.append(server)
            self.found.reasons[server] = str(exc)
        except BadQuery:
            queue.put((server, None, None))
            raise
        queue.put((server, None, None))

    def _unique(self) -> list[Row]:
        unique: dict[tuple[str, int, int, int], Row] = {}
        for answer, rows in self._reader.ask_all(self._question, self.found).values():
            self.found.truncated = self.found.truncated or answer.truncated
            for row in convert_rows(Row, rows):
                unique.setdefault(row.identity, row)
        return list(unique.values())


class Reader:
    """Asks the query endpoints `servers`; `timeout_s`: seconds that one may be silent.

    `security`: by endpoint, whose key the server must have and which one we show it; plain text to
    the others.
    """

    def __init__(
        self,
        servers: Sequence[str],
        timeout_s: float = ASK_S_MAX,
        security: Mapping[str, ClientSecurity] | None = None,
    ) -> None:
        self._security = dict(security or {})
        self.servers = list(servers)
        self.timeout_s = timeout_s
        self._context = Context()

    def close(self) -> None:
        """Let go of the connections. Parks for a moment."""
        self._context.destroy(linger=0)

    def stream(
        self,
        text: str = "",
        limit: int = 100,
        order: Literal["newest", "oldest"] = "newest",
        page: str | None = None,
    ) -> Results:
        """Lines that match `text`, at most `limit`, as they are found. Iterating parks.

        `page`: the rows behind those of the answer that gave it. Raises `BadQuery`.
        """
        question, plan = self._question(text, limit, order, page)
        if plan.grouping is not None:
            raise BadQuery("expected a query for lines: this one counts them", 0)
        return Results(self, question, plan)

    def query(
        self,
        text: str = "",
        limit: int = 100,
        order: Literal["newest", "oldest"] = "newest",
        page: str | None = None,
    ) -> Found:
        """The same, all at once; a counting query too, whose answer is in `table`. Parks.

        Raises `BadQuery` when the query cannot be read, before a server is asked.
        """
        question, plan = self._question(text, limit, order, page)
        if plan.grouping is not None:
            return count_groups(self, question, plan, Found([], []))
        results = Results(self, question, plan)
        rows = list(results)
        results.found.rows = rows
        return results.found

    def _question(
        self, text: str, limit: int, order: Order, page: str | None
    ) -> tuple[Question, Plan]:
        place, now_ns = (None, time.time_ns()) if page is None else decode_page(page)
        plan = make_plan(text, now_ns, limit=limit, order=order)
        question = Question(
            text=text, limit=limit, order=order, stream=True, now_ns=now_ns, place=place
        )
        return question, plan

    def around(self, rows: Sequence[Row], count: int) -> dict[Row, tuple[list[Row], list[Row]]]:
        """For each of `rows`, up to `count` lines before and behind it of its app and host. Parks.

        Of at most `ANCHORS_MAX` rows. A server that does not answer is left out.
        """
        rows = rows[:ANCHORS_MAX]
        count = min(count, CONTEXT_MAX)
        anchors = [Anchor(*row.place, row.app, row.host) for row in rows]
        question = Question(kind="around", limit=count, anchors=anchors, stream=True)
        near: dict[tuple[str, int, int, int], Row] = {}
        for _, found in self.ask_all(question, Found([], [])).values():
            near.update({row.identity: row for row in convert_rows(Row, found)})
        ordered = sorted(near.values(), key=lambda row: row.place)
        context = {}
        for row in rows:
            same = [each for each in ordered if (each.app, each.host) == (row.app, row.host)]
            before = [each for each in same if each.place < row.place]
            behind = [each for each in same if each.place > row.place]
            context[row] = (before[max(0, len(before) - count) :], behind[:count])
        return context

    def sql(self, text: str, limit: int = 1000) -> tuple[dict[str, Table], Found]:
        """What the SELECT `text` finds on each server, by endpoint. Parks. Raises `BadQuery`.

        Servers are not merged: only who wrote the statement knows how.
        """
        found = Found([], [])
        answers = self.ask_all(Question(kind="sql", text=text, limit=limit, stream=True), found)
        found.truncated = any(answer.truncated for answer, _ in answers.values())
        return {
            server: Table(tuple(answer.columns or ()), [tuple(row) for row in rows])
            for server, (answer, rows) in answers.items()
        }, found

    def follow(
        self, text: str = "", last: int = 0, token: str | None = None, behind_max: int = 0
    ) -> Follower:
        """The `last` lines that match, then each new one as it is stored, for ever. Parks.

        `token`: go on where another follower stood. `behind_max`: lines that this program may be
        behind a server before it is moved on, with a `Gap`; 0 is never. Raises `BadQuery`.
        """
        plan = make_plan(text, time.time_ns())
        if plan.pipes or plan.grouping is not None:
            raise BadQuery(
                "expected no | : lines that come one by one are not counted", text.find("|")
            )
        return Follower(self, text, last, token, behind_max)

    def ask(self, server: str, question: Question) -> Iterator[tuple[Any, list[Any]]]:
        """Answers of one server. Parks. Raises `BadQuery` and `ServerAway`."""
        return ask(self._context, server, question, self.timeout_s, self._security.get(server))

    def ask_once(self, server: str, question: Question) -> tuple[Any, list[Any]]:
        """The last answer of one server, and all rows. Parks. As `ask`."""
        return ask_once(self._context, server, question, self.timeout_s, self._security.get(server))

    def ask_all(
        self, questions: Question | Mapping[str, Question], found: Found
    ) -> dict[str, tuple[Any, list[Any]]]:
        """One answer of each server, by endpoint; who gave none is noted in `found`. Parks."""
        if isinstance(questions, Question):
            questions = dict.fromkeys(self.servers, questions)
        threads = {
            server: spawn(self.ask_once, server, question) for server, question in questions.items()
        }
        answers = {}
        try:
            for server, thread in threads.items():
                try:
                    answers[server] = thread.wait()
                except ServerAway as exc:
                    found.missing.append(server)
                    found.reasons[server] = str(exc)
        finally:
            # Of those that nobody waits for any more, each calls its search off.
            for thread in threads.values():
                thread.cancel()
                thread.join()
        return answers
