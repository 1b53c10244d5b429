"""Workers: native threads for the calls that must block.

Place     core; name resolution, disk and query engines go through here (green/, state, stores).
Promise   at most `WORKERS_MAX` native threads; the caller's green thread parks, the hub goes on.
          An interrupted caller leaves at once; the call runs to its end and its result is dropped.
Not here  which calls block (the rooms know).

    green thread ──▶ jobs (a native queue) ──▶ worker ──▶ run_soon_threadsafe ──▶ green thread

Why daemon threads of our own and not `concurrent.futures`: its exit hook joins workers that may be
stuck in a resolver for a minute, and it is built from the very locks that a patch replaces.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar, cast

from verdant.core.originals import SimpleQueue, allocate_lock, start_new_thread
from verdant.core.parking import Parkable, current_thread, park, unpark

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["WORKERS_MAX", "run_in_worker"]

# Native threads at the most. The calls wait for a disk or a resolver, not for a processor; sixteen
# keep a slow resolver from holding up an fsync without letting a burst make hundreds of stacks.
WORKERS_MAX = 16

T = TypeVar("T")


class _Job:
    __slots__ = ("args", "exception", "finished", "fn", "hub", "result", "waiter")

    def __init__(
        self, fn: Callable[..., object], args: tuple[object, ...], waiter: Parkable
    ) -> None:
        self.fn = fn
        self.args = args
        # The hub is kept beside the waiter, which leaves when it is interrupted.
        self.hub = waiter.hub
        self.waiter: Parkable | None = waiter
        self.result: object = None
        self.exception: BaseException | None = None
        self.finished = False

    def deliver(self) -> None:
        # In the waiter's hub.
        self.finished = True
        if self.waiter is not None:
            unpark(self.waiter)


class _Workers:
    """The process's worker threads; started one by one as jobs find nobody idle."""

    def __init__(self) -> None:
        self._jobs: SimpleQueue[_Job] = SimpleQueue()
        self._lock = allocate_lock()
        # Guarded by _lock: how many threads there are, and how many of them have nothing to do.
        self._started = 0
        self._idle = 0

    def submit(self, job: _Job) -> None:
        with self._lock:
            if self._idle > 0:
                self._idle -= 1
            elif self._started < WORKERS_MAX:
                self._started += 1
                start_new_thread(self._work, ())
        self._jobs.put(job)

    def _work(self) -> None:
        while True:
            job = self._jobs.get()
            try:
                job.result = job.fn(*job.args)
            except BaseException as exc:  # noqa: BLE001 - carried over to the caller
                job.exception = exc
            with self._lock:
                if self._jobs.empty():
                    self._idle += 1
            job.hub.run_soon_threadsafe(job.deliver)
            # The next wait may be long, and a job holds its result.
            del job


_workers = _Workers()


def run_in_worker(fn: Callable[..., T], *args: object) -> T:
    """Call the blocking `fn(*args)` in a native thread and wait for it. Parks.

    Returns or raises what `fn` does. Interrupted by `Timeout` or `cancel()` like any wait; the
    call itself cannot be stopped and its result is then dropped. `fn` must not use green threads.
    """
    me = current_thread()
    job = _Job(fn, args, me)
    _workers.submit(job)
    try:
        # Woken by deliver(), through our hub.
        park()
    except BaseException:
        job.waiter = None
        raise
    if job.exception is not None:
        raise job.exception
    return cast("T", job.result)
