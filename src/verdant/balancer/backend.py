"""Backend: one address that a rule names, and what we know of it.

Place     balancer; a fleet has one for each address, and the next fleet of the same host takes it
          over: what was learned of a backend outlives a change of its rule.
Promise   `open` is the number of exchanges under way, whichever rule began them.
Not here  who is chosen (selection.py), when it is put out (ejection.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from verdant.address import TcpAddress
from verdant.balancer.ejection import Standing
from verdant.balancer.selection import hash_of
from verdant.core import WaitQueue

if TYPE_CHECKING:
    from verdant.http import IdleConnections

__all__ = ["Backend"]


class Backend(Standing):
    """A backend's connections, load, record and counters. Use it from one native thread."""

    __slots__ = (
        "address",
        "connections_max",
        "emptied",
        "failures",
        "idle",
        "last_failure",
        "mark",
        "name",
        "open",
        "removed",
        "requests",
        "seed",
        "weight",
    )

    def __init__(self, address: tuple[str, int], idle: IdleConnections) -> None:
        super().__init__()
        self.address = address
        self.name = str(TcpAddress(*address))
        self.idle = idle
        self.seed = hash_of(self.name.encode("ascii"))
        # In sticky cookies: names the backend to us and to nobody else.
        self.mark = b"%016x" % hash_of(b"sticky " + self.name.encode("ascii"))
        self.weight = 1
        # 0: any number.
        self.connections_max = 0
        self.open = 0
        self.requests = 0
        self.failures = 0
        # The latest failure of a request or check, as a sentence; "" before the first.
        self.last_failure = ""
        # Its rule names it no more: what is under way ends, nothing begins.
        self.removed = False
        self.emptied = WaitQueue()

    @property
    def has_room(self) -> bool:
        """True when it may have one more exchange."""
        return not self.connections_max or self.open < self.connections_max

    def retire(self) -> None:
        """Its rule is gone: keep no connection to it. Does not park."""
        self.removed = True
        self.idle.close()
        if not self.open:
            self.emptied.wake_all()

    def describe(self, now: float) -> dict[str, object]:
        """What people and programs may see of it."""
        return {
            "address": self.name,
            "weight": self.weight,
            "state": "removed" if self.removed else self.state(now),
            "open_requests": self.open,
            "completed_requests": self.requests - self.open,
            "failures": self.failures,
            "last_failure": self.last_failure,
            "idle_connections": len(self.idle),
        }
