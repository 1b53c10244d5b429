"""Pool: connections to backends that are kept for the next request.

Place     http.
Promise   a connection is lent to one exchange at a time, the warmest first; one that ended, spoke
          out of turn or idled too long is closed, not lent. At most `IDLE_PER_ADDRESS_MAX` idle.
Not here  which backend (balancer/selection.py); retries (balancer/proxy.py).
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from verdant.core import monotonic
from verdant.http.client import ClientConnection
from verdant.net import connect

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["IDLE_S_MAX", "ConnectionPool"]

# Shorter than the keep-alive of common application servers (Node 5 s, uvicorn 5 s), so that it is
# us who close and a request rarely meets a connection that the backend is just closing.
IDLE_S_MAX = 4.0
# What a burst leaves behind; more would hold descriptors of the backend for no use.
IDLE_PER_ADDRESS_MAX = 256


class ConnectionPool:
    """Idle connections by address (host, port)."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._idle: dict[tuple[str, int], deque[ClientConnection]] = {}

    def borrow_idle(self, address: tuple[str, int]) -> ClientConnection | None:
        """An idle connection to `address` that looks alive, or None. Does not park."""
        idle = self._idle.get(address)
        while idle:
            connection = idle.pop()
            if self._is_fresh(connection):
                return connection
            connection.close()
        return None

    def connect(self, address: tuple[str, int], timeout_s: float) -> ClientConnection:
        """A new connection to `address`. Parks. Raises OSError."""
        return ClientConnection(connect(address, timeout_s=timeout_s))

    def give_back(self, address: tuple[str, int], connection: ClientConnection) -> bool:
        """Keep `connection` for the next exchange if it can have one, else close it.

        Returns True when it was kept. Does not park.
        """
        idle = self._idle.get(address)
        if idle is None:
            idle = self._idle[address] = deque()
        if not connection.reusable or len(idle) >= IDLE_PER_ADDRESS_MAX:
            connection.close()
            return False
        connection.idle_since = self._clock()
        idle.append(connection)
        return True

    def reap(self) -> None:
        """Close what has idled too long or ended meanwhile; called now and then. Does not park."""
        for address, idle in list(self._idle.items()):
            fresh = []
            for connection in idle:
                if self._is_fresh(connection):
                    fresh.append(connection)
                else:
                    connection.close()
            if fresh:
                self._idle[address] = deque(fresh)
            else:
                del self._idle[address]

    def close(self) -> None:
        """Close everything idle. Does not park."""
        for idle in self._idle.values():
            for connection in idle:
                connection.close()
        self._idle.clear()

    def __len__(self) -> int:
        return sum(map(len, self._idle.values()))

    def _is_fresh(self, connection: ClientConnection) -> bool:
        if self._clock() - connection.idle_since > IDLE_S_MAX:
            return False
        return not connection.stream.is_stale()
