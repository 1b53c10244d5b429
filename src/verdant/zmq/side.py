"""Side: one direction of a socket, and who wants to go there.

Place     zmq; readiness.py moves its threads along, nobody else changes it.
Promise   none of its own: it is what the rule of readiness.py is about.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from verdant.core import Parkable

__all__ = ["CALLS_PER_TURN", "HITS_UNTIL_SURE", "Side"]

# Calls in a row before others run. A call takes one or two µs and letting others run about as
# long, so a busy socket holds the hub for some 100 µs at most and pays one per cent for it.
CALLS_PER_TURN = 100

# Receives that found a message at once, since the last wait, until the next is made without
# looking first. A look costs one µs, a receive that finds nothing three times that: after a few
# hits in a row a blind try is the better bet, after a wait (a REQ's, say) it is not.
HITS_UNTIL_SURE = 4


class Side:
    """One direction: who wants to go, in order. The head tries, or is `idle`: parked till an edge.

    `timeout_ms`: the socket's RCVTIMEO or SNDTIMEO, None until somebody reads it.
    """

    __slots__ = ("bit", "idle", "line", "timeout_ms", "timeout_option")

    def __init__(self, bit: int, timeout_option: int) -> None:
        self.bit = bit
        self.line: deque[Parkable] = deque()
        self.idle = False
        self.timeout_option = timeout_option
        self.timeout_ms: int | None = None
