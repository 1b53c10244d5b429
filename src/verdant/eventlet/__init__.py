"""Eventlet's names over Verdant's rooms: a program moves by changing its imports."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from greenlet import getcurrent

from verdant.eventlet import (
    convenience,
    event,
    greenpool,
    greenthread,
    hubs,
    patcher,
    pools,
    queue,
    semaphore,
    timeout,
)
from verdant.eventlet.convenience import StopServe, connect, listen, serve, wrap_ssl
from verdant.eventlet.event import Event
from verdant.eventlet.greenpool import GreenPile, GreenPool
from verdant.eventlet.greenthread import (
    GreenThread,
    exc_after,
    kill,
    sleep,
    spawn,
    spawn_after,
    spawn_after_local,
    spawn_n,
)
from verdant.eventlet.patcher import import_patched, monkey_patch
from verdant.eventlet.pools import TokenPool
from verdant.eventlet.queue import Queue
from verdant.eventlet.semaphore import BoundedSemaphore, CappedSemaphore, Semaphore
from verdant.eventlet.timeout import Timeout, is_timeout, with_timeout, wrap_is_timeout

if TYPE_CHECKING:
    from types import ModuleType

__all__ = [
    "BoundedSemaphore",
    "CappedSemaphore",
    "Event",
    "GreenPile",
    "GreenPool",
    "GreenThread",
    "Queue",
    "Semaphore",
    "StopServe",
    "Timeout",
    "TokenPool",
    "connect",
    "convenience",
    "event",
    "exc_after",
    "getcurrent",
    "greenpool",
    "greenthread",
    "hubs",
    "import_patched",
    "is_timeout",
    "kill",
    "listen",
    "monkey_patch",
    "patcher",
    "pools",
    "queue",
    "semaphore",
    "serve",
    "sleep",
    "spawn",
    "spawn_after",
    "spawn_after_local",
    "spawn_n",
    "timeout",
    "with_timeout",
    "wrap_is_timeout",
    "wrap_ssl",
]

# The release of Eventlet whose names these are.
__version__ = "0.41.3"

_LATER = frozenset(
    {
        "asyncio",
        "backdoor",
        "corolocal",
        "dagpool",
        "db_pool",
        "debug",
        "greenio",
        "tpool",
        "websocket",
        "wsgi",
    }
)


def __getattr__(name: str) -> ModuleType:
    if name in _LATER:
        return import_module(f"verdant.eventlet.{name}")
    raise AttributeError(f"module 'verdant.eventlet' has no attribute {name!r}")
