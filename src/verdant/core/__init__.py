"""The runtime: hub, green threads, timeouts, native workers."""

from verdant.core.current import slot
from verdant.core.greenpool import GreenPool
from verdant.core.greenthread import (
    GreenThread,
    WasCancelled,
    on_unhandled,
    sleep,
    spawn,
    spawn_after,
)
from verdant.core.hub import Hub, current_hub
from verdant.core.originals import monotonic
from verdant.core.parking import Parkable, current_thread, interrupt, park, running, unpark
from verdant.core.timeout import Timeout
from verdant.core.timers import Timer
from verdant.core.waitqueue import WaitQueue
from verdant.core.watch import FdWatch, watch_fd
from verdant.core.workers import run_in_worker
from verdant.errors import Cancelled, TimedOut

__all__ = [
    "Cancelled",
    "FdWatch",
    "GreenPool",
    "GreenThread",
    "Hub",
    "Parkable",
    "TimedOut",
    "Timeout",
    "Timer",
    "WaitQueue",
    "WasCancelled",
    "current_hub",
    "current_thread",
    "interrupt",
    "monotonic",
    "on_unhandled",
    "park",
    "run_in_worker",
    "running",
    "sleep",
    "slot",
    "spawn",
    "spawn_after",
    "unpark",
    "watch_fd",
]
