"""Reader: ask all servers, merge their answers.

Place     logs/client, on green ZeroMQ.
Promise   a line stored twice is shown once; a server that does not answer is named. Following goes
          by position, so that it neither drops nor repeats, also when a server was away.
Not here  what a query means (query/), how rows look (the command line).
"""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import msgspec

from verdant.core import Timeout, sleep, spawn
from verdant.logs.errors import BadQuery
from verdant.logs.protocol import Answer, Question, Row
from verdant.sync import Queue
from verdant.zmq import LINGER, MAXMSGSIZE, REQ, Context

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from verdant.zmq.security import ClientSecurity

__all__ = ["Found", "Reader"]

ASK_S_MAX = 30.0
# A page has a thousand rows, each of a message and of fields at their largest; a server that sends
# more is none.
PAGE_BYTES_MAX = 1024 * 1024 * 1024
# How long a server may hold a follower's question back when it has nothing new.
FOLLOW_WAIT_S = 1.0
FOLLOW_RETRY_S = 0.5
# Identities remembered to show a line once that two servers have: retries are seconds apart.
FOLLOW_REMEMBERED = 100_000

_log = logging.getLogger("verdant.logs")
_encode = msgspec.json.Encoder().encode
_decode_answer = msgspec.json.Decoder(Answer).decode
_decode_rows = msgspec.json.Decoder(list[Row]).decode


@dataclass(frozen=True, slots=True)
class Found:
    """Rows in order. `missing`: endpoints that gave no answer, so their lines are not here."""

    rows: list[Row]
    missing: list[str]
    truncated: bool = False


class Reader:
    """Asks the query endpoints `servers`.

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
        self._servers = list(servers)
        self._timeout_s = timeout_s
        self._context = Context()

    def close(self) -> None:
        """Let go of the connections. Parks for a moment."""
        self._context.destroy(linger=0)

    def query(
        self, text: str = "", limit: int = 100, order: Literal["newest", "oldest"] = "newest"
    ) -> Found:
        """Lines that match `text`, at most `limit`, in order of time. Parks.

        Raises `BadQuery` when a server cannot read the query.
        """
        question = Question(text=text, limit=limit, order=order, now_ns=time.time_ns())
        asked = [spawn(self._try_ask, server, question) for server in self._servers]
        answers = [thread.wait() for thread in asked]
        missing = [
            server for server, answer in zip(self._servers, answers, strict=True) if answer is None
        ]
        unique: dict[tuple[str, int, int, int], Row] = {}
        truncated = False
        for answer in answers:
            if answer is None:
                continue
            head, rows = answer
            if head.error is not None:
                raise BadQuery(head.error, head.position or 0)
            truncated = truncated or head.truncated
            for row in rows:
                unique.setdefault(row.identity, row)
        merged = sorted(
            unique.values(), key=lambda row: (row.t, row.identity), reverse=order == "newest"
        )
        return Found(merged[:limit], missing, truncated or len(merged) > limit)

    def follow(self, text: str = "", last: int = 0) -> Iterator[Row]:
        """The `last` lines that match, then each new one as it is stored, for ever. Parks."""
        found = self.query(text, max(last, 1), "newest")
        queue: Queue[Row] = Queue(1000)
        seen: OrderedDict[tuple[str, int, int, int], None] = OrderedDict()
        starts = [self._end_of(server) for server in self._servers]
        if last:
            for row in reversed(found.rows):
                seen[row.identity] = None
                yield row
        threads = [
            spawn(self._follow_one, server, text, start, queue, name=f"follow {server}")
            for server, start in zip(self._servers, starts, strict=True)
        ]
        try:
            while True:
                row = queue.get()
                if row.identity in seen:
                    continue
                seen[row.identity] = None
                if len(seen) > FOLLOW_REMEMBERED:
                    seen.popitem(last=False)
                yield row
        finally:
            for thread in threads:
                thread.cancel()

    def _end_of(self, server: str) -> int | None:
        answer = self._try_ask(server, Question(after=-1))
        return None if answer is None else answer[0].end

    def _follow_one(self, server: str, text: str, start: int | None, queue: Queue[Row]) -> None:
        position = start
        while True:
            if position is None:
                # It was away when following began: from where it stands when it is back.
                position = self._end_of(server)
            else:
                question = Question(
                    text=text, after=position, wait_s=FOLLOW_WAIT_S, limit=1000,
                    now_ns=time.time_ns(),
                )  # fmt: skip
                answer = self._try_ask(server, question)
                if answer is not None:
                    head, rows = answer
                    for row in rows:
                        queue.put(row)
                    position = head.end
                    continue
            sleep(FOLLOW_RETRY_S)

    def _try_ask(self, server: str, question: Question) -> tuple[Answer, list[Row]] | None:
        socket = self._context.socket(REQ)
        socket.setsockopt(LINGER, 0)
        socket.setsockopt(MAXMSGSIZE, PAGE_BYTES_MAX)
        try:
            if server in self._security:
                self._security[server].apply(socket)
            with Timeout(self._timeout_s):
                socket.connect(server)
                socket.send(_encode(question))
                frames = socket.recv_multipart()
            rows: list[Row] = []
            for page in frames[1:]:
                rows.extend(_decode_rows(page))
            return _decode_answer(frames[0]), rows
        except Timeout:
            return None
        except (msgspec.DecodeError, ValueError, RecursionError) as exc:
            _log.warning("%s sent something odd for an answer: %s", server, exc)
            return None
        finally:
            socket.close()
