"""Verdant: green threads, ZeroMQ in them, a balancer that holds requests, logs that are not lost.

The public face of the runtime. What needs sockets is looked up on first use, so that
`import verdant` costs no more than the green threads themselves.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from verdant.core import (
    Cancelled,
    Deadlock,
    GreenPile,
    GreenPool,
    GreenThread,
    HubStatistics,
    Stall,
    StallDetector,
    TaskGroup,
    TimedOut,
    Timeout,
    WasCancelled,
    WorkerProxy,
    Workers,
    dump,
    dump_on_signal,
    hub_statistics,
    on_unhandled,
    run_in_worker,
    sleep,
    spawn,
    spawn_after,
    with_timeout,
)
from verdant.errors import VerdantError
from verdant.sync import (
    BoundedSemaphore,
    Condition,
    Event,
    Future,
    LifoQueue,
    LightQueue,
    Lock,
    Pool,
    PriorityQueue,
    Queue,
    RLock,
    Semaphore,
)

if TYPE_CHECKING:
    from verdant.green.threading import local
    from verdant.net import Backdoor, connect, listen, serve
    from verdant.patcher import monkey_patch

__all__ = [
    "Backdoor",
    "BoundedSemaphore",
    "Cancelled",
    "Condition",
    "Deadlock",
    "Event",
    "Future",
    "GreenPile",
    "GreenPool",
    "GreenThread",
    "HubStatistics",
    "LifoQueue",
    "LightQueue",
    "Lock",
    "Pool",
    "PriorityQueue",
    "Queue",
    "RLock",
    "Semaphore",
    "Stall",
    "StallDetector",
    "TaskGroup",
    "TimedOut",
    "Timeout",
    "VerdantError",
    "WasCancelled",
    "WorkerProxy",
    "Workers",
    "connect",
    "dump",
    "dump_on_signal",
    "hub_statistics",
    "listen",
    "local",
    "monkey_patch",
    "on_unhandled",
    "run_in_worker",
    "serve",
    "sleep",
    "spawn",
    "spawn_after",
    "with_timeout",
]


def __getattr__(name: str) -> object:
    if name in ("Backdoor", "connect", "listen", "serve"):
        return getattr(import_module("verdant.net"), name)
    if name == "local":
        return import_module("verdant.green.threading").local
    if name == "monkey_patch":
        return import_module("verdant.patcher").monkey_patch
    raise AttributeError(f"module 'verdant' has no attribute {name!r}")
