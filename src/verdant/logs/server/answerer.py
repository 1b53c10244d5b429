"""Answerer: questions to rows.

Place     logs/server, on green ZeroMQ and the store. REQ clients are served as well as DEALERs.
Promise   every question gets one answer: rows, or the sentence that says what is wrong with it.
          At most `ANSWERING_MAX` questions work at once; the others wait their turn.
Not here  what a query means (query/), the search (store/scanner.py).
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

import msgspec

from verdant.core import GreenPool, GreenThread, monotonic, run_in_worker, spawn
from verdant.logs.errors import BadQuery
from verdant.logs.protocol import ROWS_MAX, Answer, Question
from verdant.logs.query import compile_condition, parse_query, parse_time
from verdant.logs.store import Scan, follow, scan
from verdant.zmq import ZMQError
from verdant.zmq.security import (
    REQUEST_BYTES_MAX,
    BadFrames,
    Complaints,
    FrameLimits,
    check_frames,
)

if TYPE_CHECKING:
    from verdant.logs.store import Store
    from verdant.sync import Event
    from verdant.zmq import Socket

__all__ = ["QUESTION_BYTES_MAX", "Answerer"]

# Each may hold the engine's memory bound.
ANSWERING_MAX = 32
# Rows of one page: what is encoded and parsed without a pause.
PAGE_ROWS = 1000
# A question is a line that somebody typed, and a few numbers.
QUESTION_BYTES_MAX = REQUEST_BYTES_MAX
# [sender, b"", question]: the empty frame is REQ's delimiter; a sender's name has up to 255 bytes.
_LIMITS = FrameLimits(3, 3, QUESTION_BYTES_MAX + 255)
# However long a follower asks to be held.
WAIT_S_MAX = 10.0

_decode = msgspec.json.Decoder(Question).decode
_encode = msgspec.json.Encoder().encode
_log = logging.getLogger("verdant.logs")


class Answerer:
    """Answers on `socket` (a ROUTER) from `store`. `stored` is set when lines were stored."""

    def __init__(self, store: Store, socket: Socket, name: str, stored: Event) -> None:
        self._store = store
        self._socket = socket
        self._name = name
        self._stored = stored
        self._complaints = Complaints(f"log server {name!r} was asked what is no question")
        self._pool = GreenPool(ANSWERING_MAX)
        self._thread: GreenThread[None] | None = None

    @property
    def rejected(self) -> int:
        """Messages that were no questions."""
        return self._complaints.count

    def start(self) -> None:
        """Begin to answer. Does not park."""
        self._thread = spawn(self._receive, name="answerer")

    def stop(self) -> None:
        """Stop answering. Parks for a moment."""
        if self._thread is not None:
            self._thread.cancel()
            self._thread.join()
        self._pool.cancel()
        self._pool.waitall()

    def _receive(self) -> None:
        while True:
            envelope = self._socket.recv_multipart()
            try:
                sender, delimiter, text = check_frames(envelope, _LIMITS)
            except BadFrames as exc:
                # Whom to answer, and with how many frames before the answer, is not known.
                self._complaints.note(str(exc))
                continue
            if delimiter:
                self._complaints.note("the delimiter before a question is empty")
                continue
            self._pool.spawn(self._answer, sender, text)

    def _answer(self, sender: bytes, text: bytes) -> None:
        try:
            frames = self._find(_decode(text))
        except BadQuery as exc:
            error = Answer(server=self._name, error=str(exc), position=exc.position)
            frames = [_encode(error)]
        except (msgspec.DecodeError, ValueError, RecursionError) as exc:
            self._complaints.note(str(exc))
            frames = [_encode(Answer(server=self._name, error=f"not a question ({exc})"))]
        except Exception as exc:  # noqa: BLE001 - the asker gets a sentence, the log the traceback
            _log.exception("a query failed")
            frames = [_encode(Answer(server=self._name, error=f"the query failed ({exc})"))]
        try:
            self._socket.send_multipart([sender, b"", *frames])
        except ZMQError as exc:
            _log.debug("cannot answer: %s", exc)

    def _find(self, question: Question) -> list[bytes]:
        now_ns = question.now_ns or time.time_ns()
        query = parse_query(question.text)
        condition, parameters = compile_condition(query)
        limit = max(1, min(query.limit or question.limit, ROWS_MAX))
        wanted = Scan(
            condition,
            tuple(parameters),
            None if query.since is None else parse_time(query.since, now_ns),
            None if query.until is None else parse_time(query.until, now_ns),
            limit,
            question.order,
        )
        if question.after is None:
            rows = run_in_worker(scan, self._store, wanted)
            answer = Answer(server=self._name, rows=len(rows), truncated=len(rows) >= limit)
        else:
            rows, end = self._follow(question, wanted)
            answer = Answer(server=self._name, rows=len(rows), end=end)
        pages = [rows[start : start + PAGE_ROWS] for start in range(0, len(rows), PAGE_ROWS)]
        return [_encode(answer), *map(_encode, pages)]

    def _follow(self, question: Question, wanted: Scan) -> tuple[list[tuple[object, ...]], int]:
        after = question.after
        if after is None or after < 0:
            # Only asked where following would begin.
            return [], self._store.snapshot().end
        deadline = monotonic() + min(question.wait_s, WAIT_S_MAX)
        while True:
            # Lowered before looking: what is stored while we look raises it again.
            self._stored.clear()
            rows, end = run_in_worker(follow, self._store, after, wanted)
            left = deadline - monotonic()
            if rows or left <= 0:
                return rows, end
            after = end
            self._stored.wait(left)
