"""A hundred thousand cycles of everything leave nothing behind."""

from __future__ import annotations

import gc
import os
import tracemalloc
from typing import TYPE_CHECKING

import pytest

from verdant import (
    Condition,
    Event,
    Future,
    GreenPool,
    Queue,
    Semaphore,
    TaskGroup,
    Timeout,
    hub_statistics,
    sleep,
    spawn,
    with_timeout,
)

if TYPE_CHECKING:
    from collections.abc import Callable

# Every kind together runs this many cycles; of these, every byte is traced, which is slow.
CYCLES = 100_000
CYCLES_TRACED = 15_000

NEVER = Event()


def finished() -> None:
    spawn(int).wait()


def cancelled_at_a_wait() -> None:
    thread = spawn(NEVER.wait)
    sleep(0)
    thread.cancel()
    thread.join()


def cancelled_before_it_began() -> None:
    thread = spawn(NEVER.wait)
    thread.cancel()
    thread.join()


def timed_out() -> None:
    with Timeout(0, False):
        NEVER.wait()


def timeout_not_met() -> None:
    with Timeout(3600):
        sleep(0)


def wait_with_a_bound() -> None:
    assert not NEVER.wait(0)


def with_a_value() -> None:
    assert with_timeout(0, NEVER.wait, timeout_value=5) == 5


def nested() -> None:
    with Timeout(3600), Timeout(0, False), Timeout(3600, ValueError):
        NEVER.wait()


def failed() -> None:
    with pytest.raises(ValueError, match="invalid"):
        spawn(int, "x").wait()


def linked() -> None:
    thread = spawn(int)
    thread.at_end(id)
    thread.at_end(repr)
    thread.not_at_end(id)
    thread.join()


def grouped() -> None:
    with TaskGroup() as group:
        group.spawn(int)
        group.spawn(NEVER.wait)
        sleep(0)
        group.cancel()


def group_that_fails() -> None:
    with pytest.raises(ExceptionGroup), TaskGroup() as group:  # noqa: PT012 - the block
        group.spawn(NEVER.wait)
        group.spawn(int, "x")


def group_that_is_bounded() -> None:
    with Timeout(0, False), TaskGroup() as group:
        group.spawn(NEVER.wait)


def pooled(pool: GreenPool = GreenPool(2)) -> None:  # noqa: B008 - one pool for all cycles
    pool.spawn(int).wait()
    thread = pool.spawn(NEVER.wait)
    thread.cancel()
    pool.waitall()


def queued(queue: Queue[int] = Queue(1)) -> None:  # noqa: B008 - one queue for all cycles
    getter = spawn(queue.get)
    sleep(0)
    queue.put(1)
    getter.wait()
    queue.task_done()
    getter = spawn(queue.get)
    sleep(0)
    getter.cancel()
    getter.join()


def permitted(semaphore: Semaphore = Semaphore(0)) -> None:  # noqa: B008 - as above
    taker = spawn(semaphore.acquire)
    sleep(0)
    semaphore.release()
    taker.wait()
    assert not semaphore.acquire(timeout=0)


def notified(condition: Condition = Condition()) -> None:  # noqa: B008 - as above
    with condition:
        assert not condition.wait(0)


def promised() -> None:
    future: Future[int] = Future()
    waiter = spawn(future.wait)
    sleep(0)
    future.set_result(1)
    waiter.wait()


CYCLE: list[Callable[[], None]] = [
    finished,
    cancelled_at_a_wait,
    cancelled_before_it_began,
    timed_out,
    timeout_not_met,
    wait_with_a_bound,
    with_a_value,
    nested,
    failed,
    linked,
    grouped,
    group_that_fails,
    group_that_is_bounded,
    pooled,
    queued,
    permitted,
    notified,
    promised,
]

# What a hundred cycles more or less may differ by: caches of the interpreter, not a byte per cycle.
SLACK_BYTES = 32 * 1024
SLACK_OBJECTS = 60


def run_cycles(count: int) -> None:
    for number in range(count):
        CYCLE[number % len(CYCLE)]()
    sleep(0)
    gc.collect()


def counts() -> tuple[int, int, int, int]:
    moment = hub_statistics()
    descriptors = len(os.listdir("/proc/self/fd"))
    return descriptors, moment.threads, moment.watches, moment.timers


def test_a_hundred_thousand_cycles_end_as_they_began() -> None:
    # First without looking: free lists fill, caches warm up.
    run_cycles(2000)
    before, objects = counts(), len(gc.get_objects())
    run_cycles(CYCLES - CYCLES_TRACED)
    tracemalloc.start()
    try:
        run_cycles(2000)
        bytes_before, _ = tracemalloc.get_traced_memory()
        run_cycles(CYCLES_TRACED)
        bytes_after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert bytes_after - bytes_before < SLACK_BYTES
    assert len(gc.get_objects()) - objects < SLACK_OBJECTS
    assert counts() == before
