"""Outbox: a service's answers on their way out.

Place     zmq; service.py posts into it.
Promise   nobody who posts ever waits. Answers posted in one turn of the hub go out together and
          cost one look at the socket. One whose client has no room is kept and tried again for
          LATE_S_MAX, and holds up no other. Each answer is told to `ended` exactly once.
Not here  what an answer is (envelope.py).

ZeroMQ does not tell when there is room for one client of a ROUTER again (POLLOUT means: for any),
so late answers are tried again, slower and slower. That is for clients that do not take what they
asked for; the others never come here.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import zmq

from verdant.core import current_hub, monotonic, sleep, spawn
from verdant.zmq.wire import look, send_now

if TYPE_CHECKING:
    from collections.abc import Callable

    from verdant.zmq.socket import Socket

__all__ = ["Outbox"]

# Each late answer holds one of the service's `calls_max` places.
LATE_RETRY_S = 0.005
LATE_RETRY_S_MAX = 0.1
LATE_S_MAX = 30.0


class Outbox:
    """For one socket. ended: called for each answer, with the error that it was lost by, if any."""

    def __init__(self, socket: Socket, ended: Callable[[zmq.ZMQError | None], None]) -> None:
        self._socket = socket
        self._ended = ended
        self._hub = current_hub()
        self._waiting: deque[list[bytes]] = deque()
        # Until when, and what: answers whose client has no room.
        self._late: list[tuple[float, list[bytes]]] = []
        self._flush_due = False

    def post(self, reply: list[bytes]) -> None:
        """Send an answer, in the hub's next turn. Does not park."""
        self._waiting.append(reply)
        if not self._flush_due:
            self._flush_due = True
            self._hub.run_soon(self.flush)

    def flush(self) -> None:
        """Send what was posted, now. Neither parks nor raises, so the hub itself may call it."""
        self._flush_due = False
        waiting = self._waiting
        if not waiting:
            return
        while waiting:
            reply = waiting.popleft()
            try:
                send_now(self._socket, reply)
            except zmq.Again:
                self._late.append((monotonic() + LATE_S_MAX, reply))
                if len(self._late) == 1:
                    spawn(self._send_late, name="late answers")
                continue
            except zmq.ZMQError as exc:
                # EHOSTUNREACH: the client has left, and nobody wants the answer.
                self._ended(exc)
            else:
                self._ended(None)
        self._look()

    def _send_late(self) -> None:
        # All of them, from the oldest on. When the socket is closed they are lost.
        pause_s = LATE_RETRY_S
        while self._late:
            sleep(pause_s)
            waiting, self._late = self._late, []
            now = monotonic()
            for until, reply in waiting:
                try:
                    send_now(self._socket, reply)
                except zmq.ZMQError as exc:
                    if isinstance(exc, zmq.Again) and now < until:
                        self._late.append((until, reply))
                    else:
                        self._ended(exc)
                else:
                    self._ended(None)
            progress = len(self._late) < len(waiting)
            pause_s = LATE_RETRY_S if progress else min(pause_s * 2, LATE_RETRY_S_MAX)
            self._look()

    def _look(self) -> None:
        if not self._socket.closed:
            look(self._socket)
