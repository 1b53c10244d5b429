"""Client: calls to services, many at once, that survive their servers.

Place     zmq, on connection.py (one server) and asking.py (one call).
Promise   an answer is the answer to this call. A call ends by its deadline: with the answer, with
          the service's error, or with `NoAnswer`, which names each server and what it did. An
          interrupted call (`Timeout`, `cancel()`) leaves the client as usable as before.
          A call that may have been run is sent again only if it is `idempotent`.
Not here  what is on the wire (envelope.py), records as bytes (form.py).

    call ──▶ choose a server ──▶ send ──▶ answer · error ──▶ the caller
                  ▲                  └──▶ lost · not begun · nothing for attempt_s
                  └───────────────────────────┘  another server, if that is safe

A REQ socket allows one question at a time and is stuck when an answer never comes. So each server
has a DEALER, and answers find their calls by a number that travels in front (envelope.py).
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any, Self

from verdant.core import current_hub, monotonic, spawn
from verdant.errors import Closed
from verdant.sync import Semaphore
from verdant.zmq import envelope as wire_form
from verdant.zmq.asking import Asking
from verdant.zmq.connection import CHANGED, CLOSED, Call, Connection
from verdant.zmq.context import Context
from verdant.zmq.errors import WrongThread
from verdant.zmq.form import Encoding, decode, encode
from verdant.zmq.heartbeat import ping_forever
from verdant.zmq.service_errors import CallFailed, NoAnswer
from verdant.zmq.wire import endpoint_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

__all__ = ["Client"]

# The talk's own figure.
DEADLINE_S_DEFAULT = 30.0

ATTEMPTS_MAX_DEFAULT = 3

# ZeroMQ's own depth of a queue, which each server has on our side.
CALLS_MAX_DEFAULT = 1000

# A second of silence is a busy machine, three are a dead one.
SERVER_LOST_S_DEFAULT = 3.0


class Client:
    """Asks one of `servers`: endpoints, or ports on 127.0.0.1. Any green thread may call.

    deadline_s: a call's bound in seconds, unless it has its own. idempotent: a call that may have
    been run may be sent to another server (at least once); False sends it again only when it was
    surely not run (at most once). attempts_max: servers asked for one call. attempt_s: seconds
    after which an idempotent call is also sent to the next server; None waits for a server as long
    as it lives. server_lost_s: seconds of silence after which a server counts as lost, by ZeroMQ's
    heartbeats. ping_s: ask services themselves, too (heartbeat.py). calls_max: calls at once;
    others wait for their turn, within their deadline. options: more socket options (CURVE keys).
    """

    def __init__(
        self,
        servers: int | str | Sequence[int | str],
        *,
        deadline_s: float = DEADLINE_S_DEFAULT,
        idempotent: bool = False,
        attempts_max: int = ATTEMPTS_MAX_DEFAULT,
        attempt_s: float | None = None,
        server_lost_s: float = SERVER_LOST_S_DEFAULT,
        ping_s: float | None = None,
        calls_max: int = CALLS_MAX_DEFAULT,
        encoding: Encoding = "json",
        options: dict[int, int | bytes] | None = None,
        context: Context | None = None,
    ) -> None:
        places = [servers] if isinstance(servers, int | str) else list(servers)
        endpoints = list(dict.fromkeys(endpoint_of(place) for place in places))
        if not endpoints or attempts_max < 1 or calls_max < 1:
            raise ValueError(
                "a client needs a server, and attempts_max and calls_max of at least 1"
            )
        self.deadline_s = deadline_s
        self.idempotent = idempotent
        self.closed = False
        self._hub = current_hub()
        self._attempts_max = attempts_max
        self._attempt_s = attempt_s
        self._encoding = encoding
        self._numbers = wire_form.numbers(secrets.randbits(64))
        self._places = Semaphore(calls_max)
        # Calls that wait for a server to come up.
        self._homeless: dict[Call, None] = {}
        self._calls: dict[Call, None] = {}
        self._connections: list[Connection] = []
        context = context or Context.instance()
        for endpoint in endpoints:
            self._connections.append(
                Connection(
                    context,
                    endpoint,
                    self._server_came_up,
                    calls_max=calls_max,
                    server_lost_s=server_lost_s,
                    options=options or {},
                )
            )
        self._pingers = [
            spawn(ping_forever, connection, ping_s, name=f"ping {connection.endpoint}")
            for connection in self._connections
            if ping_s is not None
        ]

    @property
    def late_answers(self) -> int:
        """Answers that came after their call had ended; they were dropped."""
        return sum(connection.late for connection in self._connections)

    def call(
        self, request: bytes, *, deadline_s: float | None = None, idempotent: bool | None = None
    ) -> bytes:
        """Send one frame and return the answer's. Parks.

        deadline_s, idempotent: the client's own when left out. Raises `CallRefused` or `CallFailed`
        with the service's text, `NoAnswer`, `Closed`, `WrongThread`.
        """
        body = self.call_multipart([request], deadline_s=deadline_s, idempotent=idempotent)
        if len(body) != 1:
            raise CallFailed(f"the answer has {len(body)} frames, not one: use call_multipart")
        return body[0]

    def ask(
        self,
        question: object,
        answer: Any,  # noqa: ANN401 - a type
        *,
        method: str | None = None,
        deadline_s: float | None = None,
        idempotent: bool | None = None,
    ) -> Any:  # noqa: ANN401 - what `answer` says
        """Send a record and return the answer as a record of the type `answer`. Parks.

        method: the function's name where the service is `Methods`. Raises as `call` does, and
        `CallFailed` when the answer is not of that type.
        """
        body = [encode(question, self._encoding)]
        if method is not None:
            body.insert(0, method.encode())
        found = self.call_multipart(body, deadline_s=deadline_s, idempotent=idempotent)
        try:
            return decode(found[-1] if found else b"", answer, self._encoding)
        except ValueError as exc:
            # msgspec's errors are ValueErrors.
            raise CallFailed(f"the answer is not what was asked for: {exc}") from exc

    def call_multipart(
        self,
        body: Sequence[bytes],
        *,
        deadline_s: float | None = None,
        idempotent: bool | None = None,
    ) -> list[bytes]:
        """As `call`, with any number of frames (at least one) both ways. Parks."""
        if not body:
            raise ValueError("a request has at least one frame")
        began = monotonic()
        limit_s = self.deadline_s if deadline_s is None else deadline_s
        self._take_place(limit_s)
        call = Call(next(self._numbers), list(body))
        self._calls[call] = None
        try:
            return Asking(
                call,
                self._connections,
                self._homeless,
                until=began + limit_s,
                limit_s=limit_s,
                idempotent=self.idempotent if idempotent is None else idempotent,
                attempts_max=self._attempts_max,
                attempt_s=self._attempt_s,
            ).run()
        finally:
            del self._calls[call]
            self._homeless.pop(call, None)
            for connection in self._connections:
                connection.forget(call)
            self._places.release()

    def close(self) -> None:
        """End it; calls under way get `Closed`. Parks shortly."""
        if self.closed:
            return
        self.closed = True
        for call in list(self._calls):
            call.tell(None, CLOSED, [])
        for pinger in self._pingers:
            pinger.cancel()
            pinger.join()
        for connection in self._connections:
            connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close it."""
        self.close()

    def _take_place(self, limit_s: float) -> None:
        if self.closed:
            raise Closed("this client is closed: make another one")
        if current_hub() is not self._hub:
            raise WrongThread(
                "this client belongs to another native thread: make one here, since ZeroMQ's "
                "sockets are not thread safe"
            )
        if not self._places.acquire(timeout=limit_s):
            raise NoAnswer(
                f"no answer: calls_max others were under way for {limit_s:g} s; it was not run",
                maybe_run=False,
            )

    def _server_came_up(self) -> None:
        for call in self._homeless:
            call.tell(None, CHANGED, [])
