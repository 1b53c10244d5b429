"""Follower: new lines of all servers, as they are stored.

Place     logs/client.
Promise   each server is followed by position: no matching line of it is left out or shown twice,
          also when it was away, started again, or this program went on by its `token`. Where lines
          are lost to us all the same a `Gap` stands in their place. A line that two servers have
          is shown once, within the last `REMEMBERED` lines.
"""

from __future__ import annotations

import base64
import binascii
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from verdant.core import GreenThread, sleep, spawn
from verdant.logs.client.asking import convert_rows
from verdant.logs.errors import BadQuery, ServerAway
from verdant.logs.protocol import Answer, Question, Row
from verdant.sync import Queue

if TYPE_CHECKING:
    from collections.abc import Iterator

    from verdant.logs.client.reader import Reader

__all__ = ["Follower", "Gap"]

# How long a server may hold a follower's question back when it has nothing new.
WAIT_S = 1.0
RETRY_S = 0.5
ROWS_AT_ONCE = 1000
# Identities remembered to show a line once that two servers have: retries are seconds apart.
REMEMBERED = 100_000

# By server: the store's name and the position.
_Token = dict[str, tuple[str, int]]


@dataclass(frozen=True, slots=True)
class Gap:
    """Lines of `server` that will not be shown. `lines` below 0: nobody knows how many."""

    server: str
    lines: int


class Follower:
    """Iterate for rows and gaps, for ever. `close()` ends it; `missing`: who does not answer.

    It follows from where the servers stand when it is made, not from the first iteration on.
    """

    def __init__(
        self, reader: Reader, text: str, last: int, token: str | None, behind_max: int
    ) -> None:
        self.missing: set[str] = set()
        self._reader = reader
        self._text = text
        self._last = last
        self._behind_max = behind_max
        self._shown: _Token = {} if token is None else _decode_token(token)
        self._is_resumed = token is not None
        # One answer of each server waits, so that a slow program slows its questions.
        self._queue: Queue[tuple[str, Answer, list[Row]]] = Queue(len(reader.servers))
        self._threads: list[GreenThread[None]] = []
        if not self._is_resumed:
            # Before the last lines are asked for: what comes in between is then not left out.
            for thread in [spawn(self._find_end, server) for server in reader.servers]:
                thread.wait()

    @property
    def token(self) -> str:
        """Where this follower stands: behind the last line that it gave out."""
        return base64.urlsafe_b64encode(msgspec.msgpack.encode(self._shown)).decode()

    def close(self) -> None:
        """Stop following. Parks for a moment."""
        for thread in self._threads:
            thread.cancel()
        for thread in self._threads:
            thread.join()

    def __iter__(self) -> Iterator[Row | Gap]:
        seen: OrderedDict[tuple[str, int, int, int], None] = OrderedDict()
        if self._last and not self._is_resumed:
            for row in reversed(self._reader.query(self._text, self._last, "newest").rows):
                seen[row.identity] = None
                yield row
        self._threads = [
            spawn(self._follow, server, name=f"follow {server}") for server in self._reader.servers
        ]
        try:
            while True:
                server, answer, rows = self._queue.get()
                if answer.gap:
                    yield Gap(server, answer.gap)
                for row in rows:
                    if row.identity not in seen:
                        seen[row.identity] = None
                        if len(seen) > REMEMBERED:
                            seen.popitem(last=False)
                        # Before it is given out: who stops there has it.
                        self._shown[server] = (answer.store, row.pos + 1)
                        yield row
                self._shown[server] = (answer.store, answer.end)
        finally:
            self.close()

    def _find_end(self, server: str) -> Answer | None:
        try:
            answer, _ = self._reader.ask_once(server, Question(kind="follow", after=-1))
        except ServerAway:
            self.missing.add(server)
            return None
        self.missing.discard(server)
        self._shown[server] = (answer.store, answer.end)
        assert isinstance(answer, Answer)
        return answer

    def _follow(self, server: str) -> None:
        position = self._shown.get(server)
        while True:
            if position is None:
                # It was away when following began: from where it stands when it is back.
                answer = self._find_end(server)
                if answer is None:
                    sleep(RETRY_S)
                    continue
                position = (answer.store, answer.end)
                unknown = msgspec.structs.replace(answer, gap=-1)
                self._queue.put((server, unknown, []))
            question = Question(
                kind="follow", text=self._text, after=position[1], store=position[0],
                wait_s=WAIT_S, limit=ROWS_AT_ONCE, behind_max=self._behind_max,
                now_ns=time.time_ns(),
            )  # fmt: skip
            try:
                answer, rows = self._reader.ask_once(server, question)
                found = convert_rows(Row, rows)
            except ServerAway:
                self.missing.add(server)
                sleep(RETRY_S)
                continue
            self.missing.discard(server)
            self._queue.put((server, answer, found))
            position = (answer.store, answer.end)


def _decode_token(token: str) -> _Token:
    try:
        content = base64.b64decode(token.encode("ascii"), altchars=b"-_", validate=True)
        return msgspec.msgpack.decode(content, type=_Token)
    except (UnicodeEncodeError, binascii.Error, msgspec.DecodeError, ValueError) as exc:
        raise BadQuery(f"{token!r} is no token: expected one that a follower gave", 0) from exc
