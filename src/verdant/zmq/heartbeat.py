"""Heartbeat: our own ping, for a server whose process lives and does nothing.

Place     zmq; client.py starts one per server when it is asked to (`ping_s`).
Promise   a service with a call of ours under way that says nothing for `ping_s` is asked whether it
          is there, and counts as lost when it has not answered after as long again; when it speaks,
          it is back. Pings go to services only: a plain REP would take one for a request.
Not here  ZeroMQ's own heartbeats (connection.py). Those are answered by its native thread, and so
          prove nothing about the program behind it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from verdant.core import monotonic, sleep
from verdant.zmq import envelope as wire_form

if TYPE_CHECKING:
    from verdant.zmq.connection import Connection

__all__ = ["ping_forever"]

# Pings need no number, since any sign of life will do.
_PING = [wire_form.make_tag(wire_form.PING, bytes(8)), b"", b""]


def ping_forever(connection: Connection, ping_s: float) -> None:
    """Watch over one server until cancelled. Parks."""
    asked_at: float | None = None
    while True:
        sleep(ping_s)
        # If it was us who were late, what it said lies in the socket.
        connection.take_all()
        now = monotonic()
        if asked_at is not None and connection.heard_at >= asked_at:
            asked_at = None
        if not connection.is_service or not (connection.under_way or not connection.up):
            continue
        if asked_at is None:
            if now - connection.heard_at >= ping_s and connection.send_now(_PING):
                asked_at = now
        elif connection.up and now - asked_at >= ping_s:
            connection.lose(f"has not answered a ping for {ping_s:g} s")
        elif not connection.up and connection.send_now(_PING):
            asked_at = now
