"""What green threads wait for together: events, futures, locks, conditions, queues, pools."""

from verdant.sync.condition import Condition
from verdant.sync.event import Event
from verdant.sync.future import AlreadyDone, Future
from verdant.sync.lock import Lock, RLock
from verdant.sync.pool import Pool
from verdant.sync.queue import LifoQueue, LightQueue, PriorityQueue, Queue
from verdant.sync.semaphore import BoundedSemaphore, Semaphore

__all__ = [
    "AlreadyDone",
    "BoundedSemaphore",
    "Condition",
    "Event",
    "Future",
    "LifoQueue",
    "LightQueue",
    "Lock",
    "Pool",
    "PriorityQueue",
    "Queue",
    "RLock",
    "Semaphore",
]
