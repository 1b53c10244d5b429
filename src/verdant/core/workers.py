"""Workers: native threads for the calls that must block.

Place     core; name resolution, disk and query engines go through here (green/, state, stores).
Promise   at most `threads_max` native threads; the caller's green thread parks, the hub goes on.
          An interrupted caller leaves at once: a call that has begun runs to its end and its result
          is dropped, one that has not begun never does.
Not here  which calls block (the rooms know); objects all of whose calls do (workerproxy.py).

    green thread ──▶ jobs (a native queue) ──▶ worker ──▶ run_soon_threadsafe ──▶ green thread

Why daemon threads of our own and not `concurrent.futures`: its exit hook joins workers that may be
stuck in a resolver for a minute, and it is built from the very locks that a patch replaces.
"""

from __future__ import annotations

import contextvars
import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar, cast

from verdant.core.bystanders import bystanders
from verdant.core.originals import SimpleQueue, allocate_lock, start_new_thread
from verdant.core.parking import Parkable, current_thread, park, unpark

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["WORKERS_MAX", "WorkerStatistics", "Workers", "renew_workers", "run_in_worker"]

# Native threads at the most. The calls wait for a disk or a resolver, not for a processor; sixteen
# keep a slow resolver from holding up an fsync without letting a burst make hundreds of stacks.
WORKERS_MAX = 16

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class WorkerStatistics:
    """A moment of some workers: native threads made, calls that run, calls that wait for a turn."""

    threads: int
    running: int
    waiting: int


class _Job:
    __slots__ = ("args", "context", "exception", "fn", "hub", "result", "waiter")

    def __init__(
        self, fn: Callable[..., object], args: tuple[object, ...], waiter: Parkable
    ) -> None:
        self.fn = fn
        self.args = args
        # The call sees the caller's context variables, and what it sets is its own.
        self.context = contextvars.copy_context()
        # The hub is kept beside the waiter, which leaves when it is interrupted.
        self.hub = waiter.hub
        self.waiter: Parkable | None = waiter
        self.result: object = None
        self.exception: BaseException | None = None

    def run(self) -> None:
        # In a worker.
        if self.waiter is None:
            return
        try:
            self.result = self.context.run(self.fn, *self.args)
        except BaseException as exc:  # noqa: BLE001 - carried over to the caller
            self.exception = exc

    def deliver(self) -> None:
        # In the waiter's hub.
        if self.waiter is not None:
            unpark(self.waiter)


# One lock for all workers: what it guards takes no longer than taking it. A list of one, since a
# forked child needs another: its holder may have stayed behind.
_lock = [allocate_lock()]


class Workers:
    """Up to `threads_max` native threads; started one by one as calls find nobody idle.

    Raises ValueError for fewer than one.
    """

    def __init__(self, threads_max: int = WORKERS_MAX) -> None:
        if threads_max < 1:
            raise ValueError(f"{threads_max} workers could run nothing: threads_max must be >= 1")
        self.threads_max = threads_max
        self.renew()
        _all.add(self)

    def renew(self) -> None:
        """Forget every thread and every call: in a forked child there are none."""
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        # Guarded by the lock: threads that were started and have not been told to end, and calls
        # that were handed in and have not been run.
        self._threads = 0
        self._unfinished = 0

    def run(self, fn: Callable[..., T], *args: object) -> T:
        """Call the blocking `fn(*args)` in a native thread and wait for it. Parks.

        Returns or raises what `fn` does. Interrupted by `Timeout` or `cancel()` like any wait; a
        call that has begun cannot be stopped, and its result is then dropped. `fn` sees the
        caller's context variables and must not wait for the caller's green threads.
        """
        me = current_thread()
        job = _Job(fn, args, me)
        self._submit(job)
        try:
            # Woken by deliver(), through our hub.
            park()
        except BaseException:
            job.waiter = None
            raise
        if job.exception is None:
            return cast("T", job.result)
        try:
            raise job.exception
        finally:
            # Its traceback holds this frame, which would hold it in turn.
            job.exception = None

    def statistics(self) -> WorkerStatistics:
        """How many threads there are and what they do, now. Does not park."""
        with _lock[0]:
            running = min(self._unfinished, self._threads)
            return WorkerStatistics(self._threads, running, self._unfinished - running)

    def close(self) -> None:
        """Let the native threads end when they have run what was handed in. Does not park.

        The next call starts new ones.
        """
        with _lock[0]:
            for _ in range(self._threads):
                self._jobs.put(None)
            self._threads = 0

    def _submit(self, job: _Job) -> None:
        with _lock[0]:
            if self._unfinished >= self._threads < self.threads_max:
                try:
                    start_new_thread(self._work, (self._jobs,))
                except RuntimeError:
                    # The system allows no more threads. Those that there are will do it.
                    if not self._threads:
                        raise
                else:
                    self._threads += 1
                    bystanders.workers += 1
            self._unfinished += 1
            bystanders.jobs += 1
            self._jobs.put(job)

    def _work(self, jobs: SimpleQueue[_Job | None]) -> None:
        while True:
            job = jobs.get()
            if job is None:
                break
            job.run()
            with _lock[0]:
                self._unfinished -= 1
            job.hub.run_soon_threadsafe(job.deliver)
            # The next wait may be long, and a job holds its result.
            del job
            # Only now: until it is delivered, it may wake somebody.
            with _lock[0]:
                bystanders.jobs -= 1
        with _lock[0]:
            bystanders.workers -= 1


_all: weakref.WeakSet[Workers] = weakref.WeakSet()
_workers = Workers()


def run_in_worker(fn: Callable[..., T], *args: object) -> T:
    """Call the blocking `fn(*args)` in one of the process's workers. Parks. As `Workers.run`."""
    return _workers.run(fn, *args)


def renew_workers() -> None:
    """In a forked child: begin anew, without native threads. Does not park."""
    _lock[0] = allocate_lock()
    bystanders.workers = bystanders.jobs = 0
    for workers in list(_all):
        workers.renew()
