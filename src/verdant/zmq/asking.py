"""Asking: one call's way through the servers, from its first sending to its end.

Place     zmq; client.py makes one per call and runs it in the caller's green thread.
Promise   it ends by its deadline. It is sent on only when that is safe: the server had not begun,
          or the call is idempotent. The first answer to arrive wins, from whichever server.
Not here  choosing and wording (failover.py), the servers' state (connection.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from verdant.core import monotonic
from verdant.errors import Closed
from verdant.zmq import envelope as wire_form
from verdant.zmq.connection import CLOSED, LOST
from verdant.zmq.failover import Attempt, choose, tell_failure
from verdant.zmq.service_errors import CallFailed, CallRefused, NoAnswer, ServiceError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from verdant.zmq.connection import Call, Connection, News

__all__ = ["Asking"]

# A connection that stands and has no room: either ZeroMQ has not attached its queue yet, some
# microseconds after it said that it stands, or the queue is full of calls whose callers gave up.
ROOM_RETRY_S = 0.005


class Asking:
    """One call under way. homeless: where calls stand that wait for a server to come up.

    until: the deadline on the monotonic clock, `limit_s` seconds after the call began. The others
    are the client's.
    """

    def __init__(
        self,
        call: Call,
        connections: Sequence[Connection],
        homeless: dict[Call, None],
        *,
        until: float,
        limit_s: float,
        idempotent: bool,
        attempts_max: int,
        attempt_s: float | None,
    ) -> None:
        self._call = call
        self._connections = connections
        self._homeless = homeless
        self._until = until
        self._limit_s = limit_s
        self._idempotent = idempotent
        self._attempts_max = attempts_max
        self._attempt_s = attempt_s
        self._attempts: list[Attempt] = []
        # A (further) server is to be asked.
        self._searching = True

    def run(self) -> list[bytes]:
        """The answer. Parks. Raises as `Client.call` does."""
        while True:
            now = monotonic()
            if now >= self._until:
                self._fail(f"the deadline of {self._limit_s:g} s is over")
            wait_s = min(self._until - now, self._search(now))
            news = self._call.news(wait_s)
            if news is None:
                continue
            answer = self._hear(news)
            if answer is not None:
                return answer

    def _search(self, now: float) -> float:
        # Ask a further server if it is time to; returns the seconds until it may be time again.
        if not self._searching:
            if self._attempt_s is None or not self._idempotent:
                return self._limit_s
            left_s = self._attempts[-1].sent_at + self._attempt_s - now
            if left_s > 0 or len(self._attempts) >= self._attempts_max:
                return left_s if left_s > 0 else self._limit_s
            self._searching = True
        if len(self._attempts) >= self._attempts_max:
            if all(attempt.outcome for attempt in self._attempts):
                self._fail(f"{self._attempts_max} servers were asked, which is attempts_max")
            self._searching = False
            return self._limit_s
        servers = [connection.standing for connection in self._connections]
        place = choose(servers, self._attempts, int.from_bytes(self._call.number, "big"))
        if place is None:
            # Woken when one comes up.
            self._homeless[self._call] = None
            return self._limit_s
        if not self._connections[place].send(self._call):
            return ROOM_RETRY_S
        self._homeless.pop(self._call, None)
        self._attempts.append(Attempt(servers[place].endpoint, servers[place].connection, now))
        self._searching = False
        return self._limit_s if self._attempt_s is None else self._attempt_s

    def _hear(self, news: News) -> list[bytes] | None:
        # The answer, or None: go on. Raises what ends the call.
        source, kind, body = news
        if kind == wire_form.ANSWER:
            return body
        if kind == CLOSED:
            raise Closed("the client was closed during this call")
        if source is None:
            # A server came up; the search goes on.
            return None
        code, text = _read_error(body)
        if kind == LOST:
            self._settle(source, text)
            self._go_on(f"{source.endpoint} {text}")
        elif kind == wire_form.NOT_BEGUN:
            self._settle(source, "did not begin it, since it stops", maybe_run=False)
            self._searching = True
        elif kind == wire_form.ERROR and code == wire_form.STOPPING:
            self._settle(source, "stopped during the call")
            self._go_on(f"{source.endpoint} stopped")
        else:
            kind_of_error: type[ServiceError] = (
                CallRefused if code == CallRefused.code else CallFailed
            )
            raise kind_of_error(text)
        return None

    def _go_on(self, reason: str) -> None:
        # After an attempt that may have been run.
        if not self._idempotent:
            self._fail(f"{reason}, and a call that is not idempotent is not sent again")
        self._searching = True

    def _settle(self, source: Connection, outcome: str, *, maybe_run: bool = True) -> None:
        for attempt in self._attempts:
            if attempt.endpoint == source.endpoint and not attempt.outcome:
                attempt.settle(outcome, monotonic(), maybe_run=maybe_run)

    def _fail(self, reason: str) -> NoReturn:
        servers = [connection.standing for connection in self._connections]
        raise NoAnswer(
            tell_failure(reason, self._attempts, servers, monotonic()),
            maybe_run=any(attempt.maybe_run for attempt in self._attempts),
        )


def _read_error(body: list[bytes]) -> tuple[str, str]:
    # Code and text, whatever the other side sent.
    frames = [part.decode("utf-8", "replace") for part in body[:2]]
    return ("", frames[0] if frames else "") if len(frames) < 2 else (frames[0], frames[1])
