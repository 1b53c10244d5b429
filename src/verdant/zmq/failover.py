"""Fail-over: which server is asked next, and what is said when none has answered.

Place     zmq, pure; client.py decides by it.
Promise   a call is sent at most once over each connection to a server. Among those that are left,
          the one with the fewest calls under way is asked, in turns where they are equal. The text
          of a failure names every server and what became of the call there.
Not here  when to ask again (client.py); sockets (connection.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["Attempt", "Standing", "choose", "tell_failure"]


@dataclass(frozen=True, slots=True)
class Standing:
    """How a server stands when somebody looks for one. `connection` counts its connections."""

    endpoint: str
    up: bool
    connection: int
    under_way: int
    trouble: str = ""


@dataclass(slots=True)
class Attempt:
    """A call that was sent over one connection of one server, and what came of it.

    sent_at: seconds on the monotonic clock. outcome: empty while it is open. maybe_run: False once
    the server said that it did not begin.
    """

    endpoint: str
    connection: int
    sent_at: float
    outcome: str = ""
    after_s: float = 0.0
    maybe_run: bool = True

    def settle(self, outcome: str, now: float, *, maybe_run: bool = True) -> None:
        """It came to nothing."""
        self.outcome = outcome
        self.after_s = now - self.sent_at
        self.maybe_run = maybe_run


def choose(servers: Sequence[Standing], attempts: Iterable[Attempt], turn: int) -> int | None:
    """The place of the server to ask, or None: none is up that was not asked. `turn`: any count."""
    asked = {(attempt.endpoint, attempt.connection) for attempt in attempts}
    best: int | None = None
    for step in range(len(servers)):
        place = (turn + step) % len(servers)
        server = servers[place]
        if not server.up or (server.endpoint, server.connection) in asked:
            continue
        if best is None or server.under_way < servers[best].under_way:
            best = place
    return best


def tell_failure(
    reason: str, attempts: Sequence[Attempt], servers: Sequence[Standing], now: float
) -> str:
    """The sentence for a call that failed: why, and each server's part in it."""
    said = []
    for attempt in attempts:
        after_s = attempt.after_s if attempt.outcome else now - attempt.sent_at
        outcome = attempt.outcome or "has not answered"
        said.append(f"{attempt.endpoint} {outcome}, {after_s:.2f} s after it was asked")
    asked = {attempt.endpoint for attempt in attempts}
    for server in servers:
        if server.endpoint not in asked:
            state = "is connected and was not asked" if server.up else server.trouble
            said.append(f"{server.endpoint} {state or 'was never connected'}")
    risk = "may have been run" if any(a.maybe_run for a in attempts) else "was not run"
    return f"no answer: {reason}; the call {risk}; " + "; ".join(said)
