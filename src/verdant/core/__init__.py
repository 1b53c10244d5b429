"""The runtime: hub, green threads, timeouts, native workers, and how to look inside."""

from verdant.core.ctrl_c import default_int_handler, take_over_ctrl_c
from verdant.core.current import slot
from verdant.core.deadlock import Deadlock
from verdant.core.forking import renew_in_child
from verdant.core.greenpool import GreenPile, GreenPool
from verdant.core.greenthread import (
    GreenThread,
    WasCancelled,
    on_unhandled,
    sleep,
    spawn,
    spawn_after,
)
from verdant.core.group import TaskGroup
from verdant.core.hub import Hub, current_hub
from verdant.core.inspection import dump, dump_on_signal
from verdant.core.originals import monotonic
from verdant.core.parking import (
    Parkable,
    current_thread,
    interrupt,
    park,
    running,
    unpark,
    withdraw,
)
from verdant.core.stalls import Stall, StallDetector
from verdant.core.statistics import HubStatistics, hub_statistics
from verdant.core.timeout import Timeout, is_interrupt, with_timeout
from verdant.core.timers import Timer
from verdant.core.waitqueue import WaitQueue
from verdant.core.watch import FdWatch, watch_fd
from verdant.core.workerproxy import WorkerProxy
from verdant.core.workers import Workers, WorkerStatistics, run_in_worker
from verdant.errors import Cancelled, TimedOut

__all__ = [
    "Cancelled",
    "Deadlock",
    "FdWatch",
    "GreenPile",
    "GreenPool",
    "GreenThread",
    "Hub",
    "HubStatistics",
    "Parkable",
    "Stall",
    "StallDetector",
    "TaskGroup",
    "TimedOut",
    "Timeout",
    "Timer",
    "WaitQueue",
    "WasCancelled",
    "WorkerProxy",
    "WorkerStatistics",
    "Workers",
    "current_hub",
    "current_thread",
    "default_int_handler",
    "dump",
    "dump_on_signal",
    "hub_statistics",
    "interrupt",
    "is_interrupt",
    "monotonic",
    "on_unhandled",
    "park",
    "renew_in_child",
    "run_in_worker",
    "running",
    "sleep",
    "slot",
    "spawn",
    "spawn_after",
    "take_over_ctrl_c",
    "unpark",
    "watch_fd",
    "with_timeout",
    "withdraw",
]
