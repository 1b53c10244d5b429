"""Conditions: notified in order, the lock held again, no notification lost to an interrupt."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verdant import Condition, Event, Lock, RLock, Timeout, sleep, spawn
from verdant.errors import Cancelled


@pytest.fixture(params=[Lock, RLock, None])
def condition(request: pytest.FixtureRequest) -> Condition:
    return Condition(request.param() if request.param is not None else None)


def test_a_producer_and_its_consumers(condition: Condition) -> None:
    items: list[int] = []
    got: list[int] = []

    def consumer() -> None:
        with condition:
            condition.wait_for(lambda: items)
            got.append(items.pop(0))

    threads = [spawn(consumer) for _ in range(5)]
    for number in range(5):
        with condition:
            items.append(number)
            condition.notify()
        sleep(0)
    for thread in threads:
        thread.wait()
    assert got == list(range(5))


def test_those_who_wait_longest_are_woken_first(condition: Condition) -> None:
    woken: list[int] = []

    def waiter(number: int) -> None:
        with condition:
            condition.wait()
            woken.append(number)

    threads = [spawn(waiter, number) for number in range(5)]
    sleep(0)
    with condition:
        condition.notify(2)
    for thread in threads[:2]:
        thread.wait()
    assert woken == [0, 1]
    with condition:
        condition.notify_all()
    for thread in threads:
        thread.wait()
    assert woken == list(range(5))


def test_bounds(condition: Condition) -> None:
    with condition:
        assert not condition.wait(0.001)
        assert not condition.wait_for(lambda: 0, 0.001)
        assert condition.wait_for(lambda: "at once", 0) == "at once"
        with pytest.raises(Timeout), Timeout(0.001):
            condition.wait(60)
    # The lock is free again.
    assert condition.acquire(False)
    condition.release()


def test_who_does_not_hold_the_lock_is_told(condition: Condition) -> None:
    with pytest.raises(RuntimeError, match="wait"):
        condition.wait()
    with pytest.raises(RuntimeError, match="notify"):
        condition.notify()


def test_a_reentrant_lock_is_put_down_whole() -> None:
    condition = Condition()
    reached = Event()

    def waiter() -> None:
        with condition, condition:
            reached.set()
            condition.wait()
            assert condition._lock.is_held()
        assert not condition._lock.is_held()

    thread = spawn(waiter)
    reached.wait()
    with condition:
        condition.notify()
    thread.wait()
    assert condition.acquire(False)
    condition.release()


def test_an_interrupt_after_the_notification_waits_for_the_next_wait() -> None:
    condition = Condition(Lock())
    returned: list[bool] = []

    def waiter() -> None:
        with condition:
            returned.append(condition.wait())
        Event().wait()

    thread = spawn(waiter)
    sleep(0)
    with condition:
        condition.notify()
        sleep(0)
        # It is notified, and now waits for the lock that we hold.
        thread.cancel()
        sleep(0)
        assert not thread.done
    assert thread.join(10)
    assert returned == [True]
    assert isinstance(thread.exception, Cancelled)
    assert condition.acquire(False)


STEP = st.sampled_from(["wait", "wait briefly", "cancel", "put", "hold", "turn"])


@given(st.lists(STEP, max_size=50), st.data(), st.booleans())
def test_every_notified_item_is_taken_whoever_leaves(  # noqa: C901 - a model and its steps
    steps: list[str], data: st.DataObject, reentrant: bool
) -> None:
    condition = Condition(RLock() if reentrant else Lock())
    items: list[int] = []
    got: list[int] = []
    threads = []
    others = []
    put = 0

    def consumer(bound: float | None) -> None:
        with Timeout(bound, False), condition:
            while not items:
                condition.wait()
            got.append(items.pop(0))

    def hold() -> None:
        with condition:
            sleep(0)
            sleep(0)

    def producer(number: int) -> None:
        with condition:
            items.append(number)
            condition.notify()

    for step in steps:
        if step.startswith("wait"):
            threads.append(spawn(consumer, 0.0005 if step == "wait briefly" else None))
        elif step == "cancel" and threads:
            threads.pop(data.draw(st.integers(0, len(threads) - 1))).cancel()
        elif step == "put":
            others.append(spawn(producer, put))
            put += 1
        elif step == "hold":
            others.append(spawn(hold))
        else:
            sleep(0)
    for other in others:
        other.wait()
    for _ in range(3 * len(threads) + 3):
        sleep(0)
    # If items are left, nobody waits for them: no notification went astray.
    with condition:
        assert not items or len(condition._waiters) == 0
        left = list(items)
    for thread in threads:
        thread.cancel()
        thread.join()
    assert sorted(got + left) == list(range(put))
    assert got == sorted(got)
    assert condition.acquire(False)
