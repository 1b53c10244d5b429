"""Locks: convert the native locks that were made before the patch.

Place     patcher; installer.py calls it once, after the thread rows are in.
Promise   a free lock that a module, a logging handler, a condition or a queue holds becomes a
          green one, the same one wherever the same native one was. A lock that is held is left
          alone: its holder would release another.
Not here  locks in attributes of other objects and in closures; nobody can name all of those. They
          go on excluding native threads, but a green thread that waits for one keeps its hub.

Why it matters: a green thread may park while it holds a lock. If that is native, the next green
thread to want it stops the native thread that runs both, and nobody is left to release it.
"""

from __future__ import annotations

import gc
import logging
import queue
import sys
import threading
from typing import TYPE_CHECKING, Any, cast

from verdant.core.originals import allocate_lock
from verdant.green.thread import Lock, RLock

if TYPE_CHECKING:
    from collections.abc import Callable, MutableMapping

__all__ = ["convert_locks"]

_NATIVE_LOCK = type(allocate_lock())


class _Converter:
    def __init__(self, native_rlock: type) -> None:
        self._made: dict[int, Lock | RLock] = {}
        # What is converted lives until the end, so that no address is used twice meanwhile.
        self._kept: list[object] = []
        self._makers: dict[type, Callable[[], Lock | RLock]] = {
            _NATIVE_LOCK: Lock,
            native_rlock: RLock,
        }

    def green(self, lock: object) -> Lock | RLock | None:
        """The green lock in place of `lock`, or None when it is no native lock, or is held."""
        # type() and not isinstance(): a proxy may pretend, and run code when asked.
        maker = self._makers.get(type(lock))
        if maker is None:
            return None
        made = self._made.get(id(lock))
        if made is None:
            if _is_held(lock):
                return None
            made = self._made[id(lock)] = maker()
            self._kept.append(lock)
        return made

    def convert(self, names: MutableMapping[str, Any]) -> None:
        """Replace the locks among the values of `names`."""
        for name, value in list(names.items()):
            lock = self.green(value)
            if lock is not None:
                names[name] = lock

    def convert_condition(self, condition: threading.Condition) -> None:
        """Let `condition` stand on a green lock, unless somebody holds the one it has."""
        names = vars(condition)
        lock = self.green(names.get("_lock"))
        if lock is not None:
            # It takes over the lock's methods, so its constructor has to see the new lock. Native
            # threads that wait hold locks of their own, and find the new one when they come back.
            waiters = names.get("_waiters")
            cast("Any", threading.Condition.__init__)(condition, lock)
            names["_waiters"] = waiters


def _is_held(lock: Any) -> bool:  # noqa: ANN401 - either of two native types
    # An RLock that this very thread holds would let us in again, so the first question is its own.
    owned = getattr(lock, "_is_owned", None)
    if owned is not None and owned():
        return True
    if not lock.acquire(False):
        return True
    lock.release()
    return False


def convert_locks(native_rlock: type) -> None:
    """Convert what can be found. `native_rlock`: the type of `threading.RLock()` so far."""
    converter = _Converter(native_rlock)
    for name, module in list(sys.modules.items()):
        names = getattr(module, "__dict__", None)
        # Ours know which kind they need.
        if type(names) is dict and not name.startswith("verdant"):
            converter.convert(names)
    for reference in list(cast("Any", logging)._handlerList):  # noqa: SLF001 - its only register
        handler = reference()
        if handler is not None:
            converter.convert(vars(handler))
    if logging.lastResort is not None:
        converter.convert(vars(logging.lastResort))
    queues = (queue.Queue, queue.LifoQueue, queue.PriorityQueue)
    for held in gc.get_objects():
        if type(held) is threading.Condition:
            converter.convert_condition(held)
        elif type(held) in queues:
            converter.convert(vars(held))
