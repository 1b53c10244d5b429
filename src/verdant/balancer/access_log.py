"""Access log: one record per request, handed to whoever keeps them.

Place     balancer; never knows the log pipeline: the command line joins the two.
Promise   every answered request is noted exactly once, after its answer. The sink must not park.
Not here  formatting, shipping (the sink).

A sink is a plain function, not stdlib logging: making a LogRecord and walking its handlers costs
more than proxying the request does.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

__all__ = ["AccessRecord", "AccessSink"]


class AccessRecord(NamedTuple):
    """What one request came to."""

    time_ns: int
    host: str
    method: str
    target: str
    status: int
    bytes_sent: int
    bytes_received: int
    duration_us: int
    client: str
    action: str
    backend: str


AccessSink = Callable[[AccessRecord], object]
