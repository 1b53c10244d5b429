"""Thread: the stdlib's `_thread`, whose threads are green and whose locks park.

Place     green, on waiting.py; the stdlib's `threading` becomes green by standing on these names.
Promise   a lock serves green threads of every hub and native threads at once; it is handed to the
          first in line. What was handed to a thread that is interrupted goes on to the next.
Not here  `local`, and what `threading` adds (threading.py).

    release ──▶ nobody waits: free
           └──▶ somebody waits: taken again at once, in the name of the first in line, who is woken

Handing over, where the stdlib lets everybody race, because a green thread that releases and takes
again in a loop never lets another run in between: the one who waits would wait for ever.

A thread is green when the main thread or a green thread starts it. Started from a native worker
thread it is native: that worker does not run a hub, so nothing there would ever run it.
"""

from __future__ import annotations

import os
import sys
import threading as _threading
import traceback
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from greenlet import GreenletExit, getcurrent

from verdant.core import Cancelled, GreenThread, spawn
from verdant.core.originals import allocate_lock as _allocate_native
from verdant.core.originals import get_ident as _native_ident
from verdant.core.originals import start_new_thread as _start_native
from verdant.green.waiting import Waiter, new_waiter

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

__all__ = [
    "Lock",
    "RLock",
    "ThreadHandle",
    "allocate_lock",
    "count",
    "get_ident",
    "green_self",
    "join_all",
    "set_sentinel",
    "start_joinable_thread",
    "start_new_thread",
]

TIMEOUT_MAX = _threading.TIMEOUT_MAX


class Lock:
    """As `threading.Lock`, for green and native threads. A wait parks, or blocks natively."""

    __slots__ = ("__weakref__", "_held", "_waiters")

    def __init__(self) -> None:
        # A native lock is the state: taking it is atomic among native threads, and one call.
        self._held = _allocate_native()
        # A list, not a deque: most locks never have a waiter, and an empty deque is 600 bytes.
        # Added to by anybody, shortened by the holder and by a waiter that leaves.
        self._waiters: list[Waiter] = []

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """As in the stdlib. Parks while another holds it."""
        if timeout != -1:
            _check_timeout(blocking, timeout)
        if self._held.acquire(False):
            return True
        if not blocking or timeout == 0:
            return False
        waiter = new_waiter()
        self._waiters.append(waiter)
        # It may have been released before we stood in line, by one who then saw nobody.
        if self._held.acquire(False):
            self._waiters.remove(waiter)
            return True
        try:
            # Woken by _hand_over(), which holds the lock in our name.
            woken = waiter.wait(None if timeout == -1 else timeout)
        except BaseException:
            if not self._left(waiter):
                self.release()
            raise
        return woken or not self._left(waiter)

    def release(self) -> None:
        """As in the stdlib: any thread may. Raises RuntimeError when it is free. Does not park."""
        self._held.release()
        if self._waiters:
            self._hand_over()

    def locked(self) -> bool:
        """As in the stdlib."""
        return self._held.locked()

    def _left(self, waiter: Waiter) -> bool:
        """Leave the line. False when the lock has been handed to this waiter already."""
        try:
            self._waiters.remove(waiter)
        except ValueError:
            return False
        return True

    def _hand_over(self) -> None:
        # Whoever else takes it in between finds the line when it releases.
        while self._waiters and self._held.acquire(False):
            try:
                waiter = self._waiters.pop(0)
            except IndexError:
                # The last in line has left, in another native thread, since we looked.
                self._held.release()
                continue
            waiter.wake()
            return

    def _at_fork_reinit(self) -> None:
        self._held = _allocate_native()
        self._waiters = []

    acquire_lock = acquire
    release_lock = release
    locked_lock = locked

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.release()

    def __repr__(self) -> str:
        state = "locked" if self.locked() else "unlocked"
        return f"<{state} verdant.green.thread.Lock object at {id(self):#x}>"


# In the stdlib's `_thread` a function; a class is one too, and isinstance() of it works.
allocate_lock = Lock


def _check_timeout(blocking: bool, timeout: float) -> None:
    if not blocking:
        raise ValueError("can't specify a timeout for a non-blocking call")
    if timeout < 0:
        raise ValueError("timeout value must be a non-negative number")
    if timeout > TIMEOUT_MAX:
        raise OverflowError("timeout value is too large")


class RLock:
    """As `threading.RLock`, for green and native threads. A wait parks, or blocks natively."""

    __slots__ = ("__weakref__", "_block", "_count", "_owner")

    def __init__(self) -> None:
        self._block = Lock()
        # Written by the holder alone.
        self._owner: int | None = None
        self._count = 0

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """As in the stdlib. Parks while another holds it."""
        me = get_ident()
        if self._owner == me:
            self._count += 1
            return True
        if not self._block.acquire(blocking, timeout):
            return False
        self._owner = me
        self._count = 1
        return True

    def release(self) -> None:
        """As in the stdlib. Raises RuntimeError when another holds it. Does not park."""
        if self._owner != get_ident():
            raise RuntimeError("cannot release un-acquired lock")
        self._count -= 1
        if not self._count:
            self._owner = None
            self._block.release()

    def locked(self) -> bool:
        """True while somebody holds it."""
        return self._block.locked()

    # What threading.Condition asks of a lock.

    def _release_save(self) -> tuple[int, int | None]:
        if not self._count:
            raise RuntimeError("cannot release un-acquired lock")
        state = (self._count, self._owner)
        self._count = 0
        self._owner = None
        self._block.release()
        return state

    def _acquire_restore(self, state: tuple[int, int | None]) -> None:
        self._block.acquire()
        self._count, self._owner = state

    def _is_owned(self) -> bool:
        return self._owner == get_ident()

    def _recursion_count(self) -> int:
        return self._count if self._owner == get_ident() else 0

    def _at_fork_reinit(self) -> None:
        self._block._at_fork_reinit()  # noqa: SLF001 - ours
        self._owner = None
        self._count = 0

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.release()

    def __repr__(self) -> str:
        state = "locked" if self.locked() else "unlocked"
        return (
            f"<{state} verdant.green.thread.RLock object owner={self._owner} count={self._count}"
            f" at {id(self):#x}>"
        )


def green_self() -> GreenThread[Any] | None:
    """The green thread that runs now, also from a greenlet that it made; None in a native one."""
    try:
        me = getcurrent()
    except RuntimeError:
        # The interpreter is ending, and finalizers run without greenlets.
        return None
    while me is not None:
        if isinstance(me, GreenThread):
            return me
        me = me.parent  # type: ignore[assignment] # None above the root
    return None  # type: ignore[unreachable] # as typeshed has it, there is always a parent


def get_ident() -> int:
    """As `threading.get_ident`: a number per green thread. Does not park.

    The main program and the hub's own callbacks have their native thread's, as a signal handler
    shares its thread's in the stdlib.
    """
    green = green_self()
    return _native_ident() if green is None else id(green)


# Locks to release when their thread ends, by its identifier. `Thread.join()` waits for them.
_sentinels: dict[int, Lock] = {}


def set_sentinel() -> Lock:
    """As `_thread._set_sentinel` (to 3.12): a lock that is released when this thread ends."""
    sentinel = _sentinels[get_ident()] = Lock()
    return sentinel


# Threads of either kind that this module has started and that run, by their identifiers.
_running: set[int] = set()


def count() -> int:
    """As `_thread._count`: how many threads run that were started here. Does not park.

    The runtime's own native threads are not among them: they are nobody's to wait for.
    """
    return len(_running)


def _run(function: Callable[..., object], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    me = get_ident()
    _running.add(me)
    try:
        function(*args, **kwargs)
    except (SystemExit, Cancelled, GreenletExit):
        # Ends the thread, not the program.
        return
    except BaseException as exc:  # noqa: BLE001 - as the stdlib: said, with the function, by a hook
        _say_unraisable(exc, function)
    finally:
        # The function must be gone before anybody who joins goes on.
        del function, args, kwargs
        _running.discard(me)
        sentinel = _sentinels.pop(me, None)
        if sentinel is not None and sentinel.locked():
            sentinel.release()


class Unraisable(NamedTuple):
    """What `sys.unraisablehook` is told: the fields of the stdlib's `sys.UnraisableHookArgs`."""

    exc_type: type[BaseException]
    exc_value: BaseException
    exc_traceback: TracebackType | None
    err_msg: str
    object: object


def _say_unraisable(exc: BaseException, function: Callable[..., object]) -> None:
    message = "Exception ignored in thread started by"
    if sys.version_info >= (3, 13):
        said = Unraisable(type(exc), exc, exc.__traceback__, f"{message} {function!r}", None)
    else:
        said = Unraisable(type(exc), exc, exc.__traceback__, message, function)
    if sys.unraisablehook is not sys.__unraisablehook__:
        sys.unraisablehook(cast("sys.UnraisableHookArgs", said))
    elif sys.stderr is not None:
        # The interpreter's own takes a type that nobody else can make. It writes the same.
        sys.stderr.write(f"{message}: {function!r}\n{''.join(traceback.format_exception(exc))}")


def start_new_thread(
    function: Callable[..., object],
    args: tuple[Any, ...],
    kwargs: dict[str, Any] | None = None,
    /,
) -> int:
    """As `_thread.start_new_thread`: returns the new thread's identifier. Does not park."""
    if not callable(function):
        raise TypeError("first arg must be callable")
    if not isinstance(args, tuple):
        raise TypeError("2nd arg must be a tuple")
    if kwargs is None:
        kwargs = {}
    elif not isinstance(kwargs, dict):
        raise TypeError("optional 3rd arg must be a dictionary")
    if green_self() is None and _native_ident() != _threading.main_thread().ident:
        return _start_native(_run, (function, args, kwargs))
    # `threading` starts a bound method of its Thread, whose name says more.
    name = getattr(getattr(function, "__self__", None), "name", None)
    return id(spawn(_run, function, args, kwargs, name=name if isinstance(name, str) else None))


class ThreadHandle:
    """As `_thread._ThreadHandle` (from 3.13): what `Thread.join()` waits for."""

    __slots__ = ("_done", "_started", "ident")

    def __init__(self) -> None:
        self.ident: int | None = None
        self._started = False
        # Held until the thread has ended.
        self._done = Lock()
        self._done.acquire()

    def is_done(self) -> bool:
        """True when its thread has ended. Does not park."""
        return not self._done.locked()

    def _set_done(self) -> None:
        self._check_started()
        if self._done.locked():
            self._done.release()

    def join(self, timeout: float | None = None) -> None:
        """Wait until its thread has ended, or for `timeout` seconds. Parks."""
        self._check_started()
        if self.ident == get_ident() and not self.is_done():
            raise RuntimeError("Cannot join current thread")
        if self._done.acquire(True, -1 if timeout is None or timeout < 0 else timeout):
            self._done.release()

    def _start(self) -> None:
        if self._started:
            raise RuntimeError("thread already started")
        self._started = True

    def _check_started(self) -> None:
        if not self._started:
            raise RuntimeError("thread not started")


# Handles of the threads that the program's end waits for.
_handles: set[ThreadHandle] = set()


def start_joinable_thread(
    function: Callable[[], object], handle: ThreadHandle | None = None, daemon: bool = True
) -> ThreadHandle:
    """As `_thread.start_joinable_thread` (from 3.13). Does not park."""
    handle = ThreadHandle() if handle is None else handle
    handle._start()  # noqa: SLF001 - ours
    if not daemon:
        _handles.add(handle)

    def run() -> None:
        handle.ident = get_ident()
        try:
            function()
        finally:
            _handles.discard(handle)
            handle._set_done()  # noqa: SLF001 - ours

    handle.ident = start_new_thread(run, ())
    return handle


def _forget_others() -> None:
    # In a forked child, where of all threads the one that forked is left.
    me = get_ident()
    _running.intersection_update((me,))
    for ident in list(_sentinels):
        if ident != me:
            del _sentinels[ident]
    for handle in list(_handles):
        if handle.ident != me:
            _handles.discard(handle)
            handle._set_done()  # noqa: SLF001 - ours


os.register_at_fork(after_in_child=_forget_others)


def join_all() -> None:
    """As `_thread._shutdown` (from 3.13): wait for every thread that is no daemon. Parks."""
    while _handles:
        next(iter(_handles)).join()
