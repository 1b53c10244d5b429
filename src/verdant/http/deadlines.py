"""Deadlines: bounds on how long a connection may wait for its peer, at no cost per message.

Place     http; server connections note when they begin to wait, a sweeper looks once a second.
Promise   a wait that is too old is ended within `SWEEP_S` of its bound.
Not here  bounds on handlers (`Timeout`).

Why not a timer per wait: setting and cancelling one costs as much as parsing a head does, for an
event that hardly ever comes. Noting the sweeper's last clock reading costs one attribute.
"""

from __future__ import annotations

from typing import Protocol

from verdant.core import GreenThread, monotonic, sleep, spawn

__all__ = ["Deadlines", "Waiting"]

# Bounds are tens of seconds; a second more or less is not felt.
SWEEP_S = 1.0


class Waiting(Protocol):
    """A connection that may be waiting for its peer."""

    waiting_since: float
    waiting_s_max: float

    def wait_is_over(self) -> None:
        """Called when it waited too long; must not park."""


class Deadlines:
    """The sweeper of one server. `now` is its last reading of the monotonic clock, in seconds."""

    __slots__ = ("_connections", "_period_s", "_sweeper", "now")

    def __init__(self, period_s: float = SWEEP_S) -> None:
        self.now = monotonic()
        self._period_s = period_s
        self._connections: set[Waiting] = set()
        self._sweeper: GreenThread[None] | None = None

    def add(self, connection: Waiting) -> None:
        """Look after `connection` until `remove`. Does not park."""
        self._connections.add(connection)
        if self._sweeper is None:
            self.now = monotonic()
            self._sweeper = spawn(self._sweep, name="deadline sweeper")

    def remove(self, connection: Waiting) -> None:
        """Stop looking after it. Does not park."""
        self._connections.discard(connection)

    def stop(self) -> None:
        """End the sweeper. Does not park."""
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None

    def _sweep(self) -> None:
        while True:
            sleep(self._period_s)
            self.now = now = monotonic()
            for connection in list(self._connections):
                since = connection.waiting_since
                if since and now - since > connection.waiting_s_max:
                    connection.waiting_since = 0.0
                    connection.wait_is_over()
