"""Answerer: questions to answers.

Place     logs/server, on green ZeroMQ and the store. REQ clients are served as well as DEALERs.
Promise   every question gets an answer: rows, or the sentence that says what is wrong with it. At
          most `ANSWERING_MAX` searches work at once, each for `SEARCH_S_MAX`; others wait their
          turn. Followers that wait for lines are not among them.
Not here  what is done for each kind of question (answers.py), what a query means (query/).
"""

from __future__ import annotations

import logging
from collections import defaultdict
from typing import TYPE_CHECKING

import msgspec

from verdant.core import GreenPool, GreenThread, Timeout, run_in_worker, sleep, spawn
from verdant.logs.errors import BadQuery, QueryStopped
from verdant.logs.protocol import Answer, Question
from verdant.logs.server.answers import Answers, encode
from verdant.logs.server.following import follow
from verdant.sync import Semaphore
from verdant.zmq import ZMQError
from verdant.zmq.security import (
    BadFrames,
    Complaints,
    FrameLimits,
    check_frames,
)

if TYPE_CHECKING:
    from verdant.logs.store import Search, Store
    from verdant.sync import Event
    from verdant.zmq import Socket

__all__ = ["QUESTION_BYTES_MAX", "Answerer"]

# Each may hold the engine's memory bound, and a native thread of the process's sixteen, which the
# disk needs too.
ANSWERING_MAX = 8
# Questions taken in, followers among them; the next ones wait in ZeroMQ's queue.
QUESTIONS_MAX = 1000
# A search over everything that a server can hold takes less; what takes more would be asked anew
# by an impatient reader, on top of the one that still runs.
SEARCH_S_MAX = 60.0
# Silence that a reader need not take for absence.
BEAT_S = 1.0
# A question is a line that somebody typed; a counting one has batches to leave out, and one for
# context a hundred lines' names.
QUESTION_BYTES_MAX = 4 * 1024 * 1024
# [sender, b"", question]: the empty frame is REQ's delimiter; a sender's name has up to 255 bytes.
_LIMITS = FrameLimits(3, 3, QUESTION_BYTES_MAX + 255)

_decode = msgspec.json.Decoder(Question).decode
_log = logging.getLogger("verdant.logs")


class Answerer:
    """Answers on `socket` (a ROUTER) from `store`. `stored` is set when lines were stored."""

    def __init__(self, store: Store, socket: Socket, name: str, stored: Event) -> None:
        self._socket = socket
        self._name = name
        self._stored = stored
        self._store = store
        self._answers = Answers(store, name)
        self._complaints = Complaints(f"log server {name!r} was asked what is no question")
        self._pool = GreenPool(QUESTIONS_MAX)
        self._turns = Semaphore(ANSWERING_MAX)
        # By sender, the searches that work for it.
        self._searches: dict[bytes, set[Search]] = defaultdict(set)
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
        for sender in list(self._searches):
            self._cancel(sender)
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
            try:
                question = _decode(text)
            except (msgspec.DecodeError, ValueError, RecursionError) as exc:
                self._complaints.note(str(exc))
                self._send(sender, self._error(f"not a question ({exc})"))
                continue
            if question.kind == "cancel":
                self._cancel(sender)
            else:
                self._pool.spawn(self._answer, sender, question)

    def _cancel(self, sender: bytes) -> None:
        # Whoever runs them closes them; this makes their next step raise.
        for search in self._searches.pop(sender, ()):
            search.close()

    def _answer(self, sender: bytes, question: Question) -> None:
        try:
            if question.kind == "follow" or question.after is not None:
                self._send(sender, follow(self._store, self._name, question, self._stored))
                return
            # Who asks hears that we are at it, long before there is a row.
            beat = spawn(self._beat, sender, name="beat") if question.stream else None
            try:
                with self._turns:
                    self._search(sender, question)
            finally:
                if beat is not None:
                    beat.cancel()
                    beat.join()
        except BadQuery as exc:
            self._send(sender, self._error(str(exc), exc.position))
        except QueryStopped as exc:
            self._send(sender, self._error(str(exc)))
        except Exception as exc:  # noqa: BLE001 - the asker gets a sentence, the log the traceback
            _log.exception("a query failed")
            self._send(sender, self._error(f"the query failed ({exc})"))

    def _search(self, sender: bytes, question: Question) -> None:
        search = self._answers.search()
        self._searches[sender].add(search)
        expired = Timeout(SEARCH_S_MAX)
        try:
            with expired:
                steps = self._answers.steps(search, question)
                while (frames := run_in_worker(next, steps, None)) is not None:
                    self._send(sender, frames)
        except Timeout as exc:
            if exc is not expired:
                raise
            raise QueryStopped(
                f"the search took more than {SEARCH_S_MAX:g} s: ask for a shorter time"
            ) from exc
        finally:
            search.close()
            working = self._searches.get(sender)
            if working is not None:
                working.discard(search)
                if not working:
                    self._searches.pop(sender, None)

    def _beat(self, sender: bytes) -> None:
        while True:
            sleep(BEAT_S)
            self._send(sender, [encode(Answer(server=self._name, more=True))])

    def _error(self, sentence: str, position: int | None = None) -> list[bytes]:
        return [encode(Answer(server=self._name, error=sentence, position=position))]

    def _send(self, sender: bytes, frames: list[bytes]) -> None:
        try:
            self._socket.send_multipart([sender, b"", *frames])
        except ZMQError as exc:
            _log.debug("cannot answer: %s", exc)
