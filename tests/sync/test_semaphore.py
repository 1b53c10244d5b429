"""Semaphores, locks and pools under random interrupts: permits are conserved, order is kept."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verdant import GreenThread, Lock, Pool, RLock, Semaphore, Timeout, sleep, spawn

STEP = st.sampled_from(["take", "take briefly", "cancel", "release", "turn"])


@given(st.lists(STEP, max_size=60), st.integers(0, 3), st.data())
def test_permits_are_conserved_and_given_in_order(
    steps: list[str], value: int, data: st.DataObject
) -> None:
    semaphore = Semaphore(value)
    held = 0
    order: list[int] = []
    threads: list[GreenThread[None]] = []

    def take(number: int, bound: float | None) -> None:
        nonlocal held
        waits = not semaphore.free
        with Timeout(bound, False):
            semaphore.acquire()
            held += 1
            if waits:
                order.append(number)

    for number, step in enumerate(steps):
        if step.startswith("take"):
            threads.append(spawn(take, number, 0.0003 if step == "take briefly" else None))
        elif step == "cancel" and threads:
            threads.pop(data.draw(st.integers(0, len(threads) - 1))).cancel()
        elif step == "release" and held:
            held -= 1
            semaphore.release()
        else:
            sleep(0)
    for thread in threads:
        thread.cancel()
        thread.join()
    sleep(0)
    assert semaphore.free + held == value
    assert order == sorted(order)


@given(st.lists(STEP, max_size=40), st.sampled_from([Lock, RLock]), st.data())
def test_a_lock_is_held_by_one_and_free_in_the_end(
    steps: list[str], kind: type[Lock | RLock], data: st.DataObject
) -> None:
    lock = kind()
    holders = 0
    threads: list[GreenThread[None]] = []

    def hold(turns: int, bound: float | None) -> None:
        nonlocal holders
        with Timeout(bound, False), lock:
            holders += 1
            try:
                assert holders == 1
                for _ in range(turns):
                    sleep(0)
            finally:
                holders -= 1

    for number, step in enumerate(steps):
        if step.startswith("take"):
            threads.append(spawn(hold, number % 4, 0.0003 if step == "take briefly" else None))
        elif step == "cancel" and threads:
            threads[data.draw(st.integers(0, len(threads) - 1))].cancel()
        else:
            sleep(0)
    for thread in threads:
        thread.join()
    assert not lock.locked()
    assert lock.acquire(False)


@given(st.lists(STEP, max_size=60), st.integers(1, 3), st.data())
def test_a_pool_lends_each_thing_to_one_and_gets_all_back(
    steps: list[str], size: int, data: st.DataObject
) -> None:
    made = 0
    lent: set[int] = set()
    order: list[int] = []
    threads: list[GreenThread[None]] = []

    def create() -> int:
        nonlocal made
        made += 1
        # Making one may wait, be interrupted there, or fail.
        sleep(0)
        if made % 5 == 0:
            made -= 1
            raise ConnectionError
        return made

    pool = Pool(create, max_size=size)

    def borrow(number: int, bound: float | None) -> None:
        with Timeout(bound, False):
            try:
                with pool.item() as item:
                    order.append(number)
                    assert item not in lent
                    lent.add(item)
                    try:
                        assert len(lent) <= size
                        for _ in range(number % 3):
                            sleep(0)
                    finally:
                        lent.discard(item)
            except ConnectionError:
                return

    for number, step in enumerate(steps):
        if step.startswith("take"):
            threads.append(spawn(borrow, number, 0.0003 if step == "take briefly" else None))
        elif step == "cancel" and threads:
            threads[data.draw(st.integers(0, len(threads) - 1))].cancel()
        else:
            sleep(0)
    for thread in threads:
        thread.join()
    assert not lent
    assert pool.free() == size


def test_a_broken_thing_is_dropped_and_another_made() -> None:
    made: list[int] = []

    def create() -> int:
        made.append(len(made))
        return made[-1]

    pool = Pool(create, max_size=1)
    assert pool.get() == 0
    pool.drop()
    assert pool.get() == 1
    waiting = spawn(pool.get)
    sleep(0)
    pool.put(1)
    assert waiting.wait() == 1
    with pytest.raises(ValueError, match="max_size"):
        Pool(create, max_size=0)
