"""Locks: convert the native locks that were made before the patch.

Place     patcher; installer.py calls it once, after the thread rows are in.
Promise   a free lock becomes a green one, the same one wherever the same native one was: in
          modules, objects, classes, lists and closures. A lock that is held is left alone: its
          holder would release another. What stays native outside the stdlib is reported.
Not here  how its places are found (holders.py).

Why it matters: a green thread may park while it holds a lock. If that is native, the next green
thread to want it stops the native thread that runs both, and nobody is left to release it.
"""

from __future__ import annotations

import gc
import threading
from typing import TYPE_CHECKING, Any, cast

from verdant.core.originals import allocate_lock
from verdant.green.thread import Lock, RLock
from verdant.patcher.holders import describe, find_holders, is_stdlib, replace_in

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["convert_locks"]

_NATIVE_LOCK = type(allocate_lock())


class _Converter:
    def __init__(self, native_rlock: type) -> None:
        self._made: dict[int, Lock | RLock] = {}
        # What is converted lives until the end, so that no address is used twice meanwhile.
        self.kept: list[object] = []
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
            self.kept.append(lock)
        return made

    def replace(self, value: object) -> object:
        """The green lock in place of `value`, or `value` itself."""
        lock = self.green(value)
        return value if lock is None else lock

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


def convert_locks(native_rlock: type) -> list[str]:
    """Convert every lock that can be. `native_rlock`: the type of `threading.RLock()` so far.

    Returns a sentence for each that code outside the stdlib still holds.
    """
    converter = _Converter(native_rlock)
    kinds = frozenset({_NATIVE_LOCK, native_rlock})
    for holder in find_holders(kinds):
        if _is_ours(holder):
            continue
        if isinstance(holder, threading.Condition):
            converter.convert_condition(holder)
        else:
            replace_in(holder, converter.replace)
    stale: dict[str, None] = {}
    for holder in find_holders(kinds):
        # The native lock of a green one, and what this function itself keeps.
        if _is_ours(holder) or holder is converter.kept:
            continue
        for content in gc.get_referents(holder):
            if type(content) in kinds:
                module, place = describe(holder, content)
                if module and not is_stdlib(module) and not module.startswith("verdant"):
                    state = "is held" if _is_held(content) else "cannot be reached"
                    stale[f"{place} is still a native lock, since it {state}"] = None
    return list(stale)


def _is_ours(holder: object) -> bool:
    # Ours know which kind they need.
    if isinstance(holder, dict):
        return str(holder.get("__name__", "")).startswith("verdant.")
    return type(holder).__module__.startswith("verdant.")
