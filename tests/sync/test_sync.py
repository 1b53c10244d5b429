"""Events, semaphores, queues, pools: fair, and nothing lost to an interrupt."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verdant import (
    BoundedSemaphore,
    Event,
    LifoQueue,
    Lock,
    Pool,
    PriorityQueue,
    Queue,
    RLock,
    Semaphore,
    TimedOut,
    Timeout,
    sleep,
    spawn,
)
from verdant.errors import WouldBlock


def test_an_event_wakes_everybody() -> None:
    event = Event()
    threads = [spawn(event.wait) for _ in range(5)]
    sleep(0)
    event.set()
    assert all(thread.wait() for thread in threads)
    assert event.wait(0)
    event.clear()
    assert not event.wait(0.001)


def test_a_scope_around_a_wait_raises_itself() -> None:
    with pytest.raises(Timeout), Timeout(0.001):
        Event().wait(60)


def test_permits_go_to_the_first_in_line() -> None:
    semaphore = Semaphore(0)
    order: list[int] = []

    def take(number: int) -> None:
        semaphore.acquire()
        order.append(number)

    threads = [spawn(take, number) for number in range(5)]
    sleep(0)
    for _ in range(5):
        semaphore.release()
    for thread in threads:
        thread.join()
    assert order == list(range(5))


@given(st.lists(st.sampled_from(["take", "cancel", "release"]), max_size=60))
def test_permits_are_conserved_under_cancels(steps: list[str]) -> None:
    semaphore = Semaphore(2)
    held = 0
    waiting = []

    def take() -> None:
        nonlocal held
        semaphore.acquire()
        held += 1

    for step in steps:
        if step == "take":
            waiting.append(spawn(take))
            sleep(0)
        elif step == "cancel" and waiting:
            waiting.pop(0).cancel()
            sleep(0)
        elif step == "release" and held:
            held -= 1
            semaphore.release()
            sleep(0)
        sleep(0)
    for thread in waiting:
        thread.cancel()
        thread.join()
    assert semaphore.free + held == 2


def test_bounds_of_semaphores_and_locks() -> None:
    with pytest.raises(ValueError, match="released more often"):
        BoundedSemaphore(1).release()
    with pytest.raises(RuntimeError):
        Lock().release()
    lock = RLock()
    with lock, lock:
        other = spawn(lock.acquire, False)
        assert other.wait() is False
    assert lock.acquire(False)


@given(st.lists(st.integers(0, 3), max_size=80), st.integers(0, 3))
def test_a_queue_loses_and_doubles_nothing(steps: list[int], maxsize: int) -> None:
    queue: Queue[int] = Queue(maxsize)
    put: list[int] = []
    got: list[int] = []
    threads = []

    def putter(item: int) -> None:
        queue.put(item)
        put.append(item)

    def getter() -> None:
        got.append(queue.get())

    for number, step in enumerate(steps):
        if step == 0:
            threads.append(spawn(putter, number))
        elif step == 1:
            threads.append(spawn(getter))
        elif step == 2 and threads:
            threads.pop(number % len(threads)).cancel()
        sleep(0)
    for thread in threads:
        thread.cancel()
        thread.join()
    while queue.qsize():
        got.append(queue.get_nowait())
    assert sorted(got) == sorted(put)


def test_orders_and_bounds_of_queues() -> None:
    for kind, expected in ((Queue, [3, 1, 2]), (LifoQueue, [2, 1, 3]), (PriorityQueue, [1, 2, 3])):
        queue: Queue[int] = kind(3)
        for item in (3, 1, 2):
            queue.put(item)
        with pytest.raises(WouldBlock):
            queue.put_nowait(9)
        with pytest.raises(TimedOut):
            queue.put(9, timeout=0.001)
        assert [queue.get() for _ in range(3)] == expected
        with pytest.raises(WouldBlock):
            queue.get_nowait()
        with pytest.raises(TimedOut):
            queue.get(timeout=0.001)


def test_join_waits_for_every_item() -> None:
    queue: Queue[int] = Queue()
    queue.put(1)
    waiter = spawn(queue.join)
    sleep(0)
    assert not waiter.done
    queue.task_done()
    assert waiter.join(10)
    with pytest.raises(ValueError, match="task_done"):
        queue.task_done()


def test_a_pool_lends_at_most_its_size() -> None:
    made: list[object] = []

    def create() -> object:
        made.append(object())
        return made[-1]

    pool = Pool(create, max_size=2)

    def use() -> None:
        with pool.item():
            sleep(0)

    for thread in [spawn(use) for _ in range(10)]:
        thread.wait()
    assert len(made) == 2
