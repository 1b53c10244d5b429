"""Executor: native threads for `asyncio.to_thread` under a patch.

Place     aio; loop.py makes one when `threading` is green, since the stdlib's pool has green
          threads then.
Promise   what a coroutine sends to a thread because it blocks (a disk, a C library, a computation)
          stays out of the hub, patched or not.
Not here  the unpatched case: the stdlib's own pool serves it.

A class of the stdlib's pool only because asyncio insists on one; nothing of it is used.
"""

from __future__ import annotations

import _thread
import os
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import wait as wait_for_all
from functools import partial
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from verdant.core.originals import SimpleQueue, allocate_lock, start_new_thread

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["NativeExecutor", "threads_are_green"]

P = ParamSpec("P")
T = TypeVar("T")

# The stdlib's own bound for such pools: the calls wait more than they compute.
THREADS_MAX = min(32, (os.cpu_count() or 1) + 4)


def threads_are_green() -> bool:
    """True when `monkey_patch()` has made the stdlib's threads green. Does not park."""
    return _thread.start_new_thread is not start_new_thread


class _Job:
    __slots__ = ("_call", "future")

    def __init__(self, call: Callable[[], object], future: Future[Any]) -> None:
        self._call = call
        self.future = future

    def run(self) -> None:
        if not self.future.set_running_or_notify_cancel():
            return
        try:
            result = self._call()
        except BaseException as exc:  # noqa: BLE001 - carried over to whoever waits
            self.future.set_exception(exc)
        else:
            self.future.set_result(result)


class NativeExecutor(ThreadPoolExecutor):
    """As `ThreadPoolExecutor()`, with native threads whatever `threading` has become."""

    def __init__(self) -> None:
        # None: one thread ends.
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._guard = allocate_lock()
        # Guarded by _guard. A future per thread, done when it ends: a wait for it parks.
        self._ends: list[Future[None]] = []
        self._idle = 0
        self._shut = False

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """As in the stdlib. Does not park."""
        future: Future[T] = Future()
        with self._guard:
            if self._shut:
                raise RuntimeError("cannot schedule new futures after shutdown")
            if self._idle:
                self._idle -= 1
            elif len(self._ends) < THREADS_MAX:
                end: Future[None] = Future()
                self._ends.append(end)
                start_new_thread(self._work, (end,))
            self._jobs.put(_Job(partial(fn, *args, **kwargs), future))
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """As in the stdlib. Parks when it is to wait."""
        dropped: list[_Job] = []
        with self._guard:
            if cancel_futures:
                while not self._jobs.empty():
                    job = self._jobs.get()
                    if job is not None:
                        dropped.append(job)
            if cancel_futures or not self._shut:
                for _ in self._ends:
                    self._jobs.put(None)
            self._shut = True
        for job in dropped:
            job.future.cancel()
        if wait:
            wait_for_all(self._ends)

    def _work(self, end: Future[None]) -> None:
        # In a native thread.
        while (job := self._jobs.get()) is not None:
            job.run()
            # The next wait may be long, and a job holds its result.
            del job
            with self._guard:
                if self._jobs.empty():
                    self._idle += 1
        end.set_result(None)
