"""What green threads wait for together: events, locks, semaphores, queues, pools."""

from verdant.sync.event import Event
from verdant.sync.lock import Lock, RLock
from verdant.sync.pool import Pool
from verdant.sync.queue import LifoQueue, PriorityQueue, Queue
from verdant.sync.semaphore import BoundedSemaphore, Semaphore

__all__ = [
    "BoundedSemaphore",
    "Event",
    "LifoQueue",
    "Lock",
    "Pool",
    "PriorityQueue",
    "Queue",
    "RLock",
    "Semaphore",
]
