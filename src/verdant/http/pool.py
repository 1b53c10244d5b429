"""Pool: connections to backends that are kept for the next request.

Place     http.
Promise   a connection is lent to one exchange at a time, the warmest first; one that ended, spoke
          out of turn or idled too long is closed, not lent. At most `IDLE_PER_ADDRESS_MAX` idle.
          Each connection is looked after by the sweeper from its opening to its close.
Not here  which backend (balancer/selection.py); retries (balancer/actions/proxy.py).

    ConnectionPool ── by address ──▶ IdleConnections ── lends ──▶ ClientConnection

Whoever talks to one address often keeps its `IdleConnections`, and pays no look-up per request.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from verdant.core import monotonic
from verdant.http.client import ClientConnection
from verdant.net import connect

if TYPE_CHECKING:
    from collections.abc import Callable

    from verdant.http.deadlines import Deadlines

__all__ = ["IDLE_S_MAX", "ConnectionPool", "IdleConnections"]

# Shorter than the keep-alive of common application servers (Node 5 s, uvicorn 5 s), so that it is
# us who close and a request rarely meets a connection that the backend is just closing.
IDLE_S_MAX = 4.0
# What a burst leaves behind; more would hold descriptors of the backend for no use.
IDLE_PER_ADDRESS_MAX = 256


class IdleConnections:
    """The kept connections to one address (host, port)."""

    __slots__ = ("__weakref__", "_idle", "_pool", "address")

    def __init__(self, address: tuple[str, int], pool: ConnectionPool) -> None:
        self.address = address
        self._pool = pool
        self._idle: deque[ClientConnection] = deque()

    def borrow(self) -> ClientConnection | None:
        """An idle connection that looks alive, or None. Does not park."""
        idle = self._idle
        while idle:
            connection = idle.pop()
            if self._is_fresh(connection):
                return connection
            self.discard(connection)
        return None

    def connect(self, timeout_s: float) -> ClientConnection:
        """A new connection. Parks. Raises OSError, `TimedOut` after `timeout_s` seconds."""
        connection = ClientConnection(connect(self.address, timeout_s=timeout_s))
        if self._pool.deadlines is not None:
            self._pool.deadlines.add(connection)
        return connection

    def give_back(self, connection: ClientConnection) -> None:
        """Keep `connection` for the next exchange if it can have one, else close it.

        Does not park.
        """
        idle = self._idle
        if not connection.reusable or len(idle) >= IDLE_PER_ADDRESS_MAX:
            self.discard(connection)
            return
        connection.idle_since = self._pool.clock()
        if not idle:
            self._pool.occupied.add(self)
        idle.append(connection)

    def discard(self, connection: ClientConnection) -> None:
        """Close a connection that was lent, or found bad. Does not park."""
        if self._pool.deadlines is not None:
            self._pool.deadlines.remove(connection)
        connection.close()

    def reap(self) -> None:
        """Close what has idled too long or ended meanwhile. Does not park."""
        fresh: deque[ClientConnection] = deque()
        for connection in self._idle:
            if self._is_fresh(connection):
                fresh.append(connection)
            else:
                self.discard(connection)
        self._idle = fresh

    def close(self) -> None:
        """Close everything idle. Does not park."""
        while self._idle:
            self.discard(self._idle.pop())

    def __len__(self) -> int:
        return len(self._idle)

    def _is_fresh(self, connection: ClientConnection) -> bool:
        if self._pool.clock() - connection.idle_since > IDLE_S_MAX:
            return False
        return not connection.stream.is_stale()


class ConnectionPool:
    """Idle connections by address. `deadlines`: the sweeper that bounds waits on them."""

    def __init__(
        self, deadlines: Deadlines | None = None, clock: Callable[[], float] = monotonic
    ) -> None:
        self.clock = clock
        self.deadlines = deadlines
        # Those with something in them; they live as long as that, the others as long as their user.
        self.occupied: set[IdleConnections] = set()
        self._by_address: WeakValueDictionary[tuple[str, int], IdleConnections] = (
            WeakValueDictionary()
        )

    def at(self, address: tuple[str, int]) -> IdleConnections:
        """The connections to `address`, the same for all who ask. Does not park."""
        found = self._by_address.get(address)
        if found is None:
            found = self._by_address[address] = IdleConnections(address, self)
        return found

    def reap(self) -> None:
        """Close what has idled too long or ended meanwhile; called now and then. Does not park."""
        for idle in list(self.occupied):
            idle.reap()
            if not idle:
                self.occupied.discard(idle)

    def close(self) -> None:
        """Close everything idle. Does not park."""
        for idle in self.occupied:
            idle.close()
        self.occupied.clear()

    def __len__(self) -> int:
        return sum(map(len, self.occupied))
