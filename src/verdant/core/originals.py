"""Originals: the blocking stdlib functions the runtime itself stands on.

Place     core; imported before anything can be patched, and core's only source for these names.
Promise   whatever `monkey_patch()` replaces later, the hub and the native worker threads go on
          using the real thing.
Not here  what is replaced by what (patcher/table.py).
"""

from __future__ import annotations

import select as _select
from _queue import SimpleQueue
from _thread import _local as thread_local
from _thread import allocate_lock, get_ident, start_new_thread
from os import close, read, write
from signal import set_wakeup_fd
from time import monotonic, sleep

__all__ = [
    "SimpleQueue",
    "allocate_lock",
    "close",
    "epoll",
    "get_ident",
    "kqueue",
    "monotonic",
    "poll",
    "read",
    "set_wakeup_fd",
    "sleep",
    "start_new_thread",
    "thread_local",
    "write",
]

# What this platform's kernel has of them; None for the others. A hub polls the kernel: a green twin
# would wait for the hub that is waiting for it.
epoll = getattr(_select, "epoll", None)
poll = getattr(_select, "poll", None)
kqueue = getattr(_select, "kqueue", None)
