"""Green pools and piles: bounded, fair, in order, and nothing lost to an interrupt."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verdant import Event, GreenPile, GreenPool, GreenThread, Timeout, sleep, spawn


def turns() -> None:
    """Let everybody who can go on do so, however many hands it goes through."""
    for _ in range(10):
        sleep(0)


def double(number: int) -> int:
    sleep(0)
    return number * 2


def fail_at_three(number: int) -> int:
    if number == 3:
        raise ValueError("three")
    return double(number)


def test_a_pile_yields_in_the_order_of_spawning() -> None:
    pile: GreenPile[int] = GreenPile(3)
    for number in range(10):
        pile.spawn(double, number)
    assert len(pile) == 10
    assert list(pile) == [number * 2 for number in range(10)]
    assert list(pile) == []
    pile.spawn(double, 7)
    assert next(pile) == 14


def test_piles_share_a_pool_and_raise_in_place() -> None:
    pool = GreenPool(2)
    one: GreenPile[int] = GreenPile(pool)
    two: GreenPile[int] = GreenPile(pool)
    for number in range(6):
        one.spawn(fail_at_three, number)
        two.spawn(double, -number)
    got: list[int] = []
    with pytest.raises(ValueError, match="three"):
        got.extend(one)
    got.extend(one)
    assert got == [0, 2, 4, 8, 10]
    assert list(two) == [-number * 2 for number in range(6)]
    assert pool.free() == 2


def test_an_interrupted_wait_takes_nothing_from_a_pile() -> None:
    pile: GreenPile[bool] = GreenPile()
    event = Event()
    pile.spawn(event.wait)
    with pytest.raises(Timeout), Timeout(0.001):
        next(pile)
    event.set()
    assert next(pile)


def test_results_without_order_come_as_they_are_ready() -> None:
    pool = GreenPool(3)
    events = [Event() for _ in range(3)]

    def wait(number: int) -> int:
        events[number].wait()
        return number

    results = pool.imap_unordered(wait, range(3))

    def release() -> None:
        for number in (2, 0, 1):
            events[number].set()
            turns()

    spawn(release)
    assert list(results) == [2, 0, 1]
    assert sorted(pool.imap_unordered(double, range(50))) == [n * 2 for n in range(50)]
    with pytest.raises(ValueError, match="three"):
        list(pool.imap_unordered(fail_at_three, range(10)))
    pool.waitall()
    assert pool.free() == 3


def test_a_consumer_that_leaves_cancels_what_runs_for_it() -> None:
    pool = GreenPool(4)
    for results in (pool.imap(double, range(9)), pool.imap_unordered(double, range(9))):
        assert next(results) in range(0, 20, 2)
        results.close()  # type: ignore[attr-defined] # they are generators
        pool.waitall()
        assert pool.running() == 0


def test_a_pool_can_grow_and_shrink() -> None:
    pool = GreenPool(1)
    events = [Event() for _ in range(6)]
    began: list[int] = []

    def work(number: int) -> None:
        began.append(number)
        events[number].wait()

    spawners = [spawn(pool.spawn_n, work, number) for number in range(6)]
    turns()
    assert began == [0]
    pool.resize(3)
    turns()
    assert began == [0, 1, 2]
    pool.resize(1)
    assert pool.free() == 0
    events[0].set()
    events[1].set()
    turns()
    assert began == [0, 1, 2]
    events[2].set()
    turns()
    assert began == [0, 1, 2, 3]
    for event in events:
        event.set()
    for spawner in spawners:
        spawner.join()
    pool.waitall()
    assert (pool.free(), pool.running(), pool.waiting()) == (1, 0, 0)
    with pytest.raises(ValueError, match="size"):
        pool.resize(0)


STEP = st.sampled_from(["spawn", "spawn briefly", "cancel spawner", "cancel worker", "turn"])


@given(st.lists(STEP, max_size=60), st.integers(1, 3), st.data())
def test_a_pool_loses_no_place_and_never_runs_too_many(
    steps: list[str], size: int, data: st.DataObject
) -> None:
    pool = GreenPool(size)
    running = 0
    workers: list[GreenThread[None]] = []
    spawners: list[GreenThread[None]] = []
    order: list[int] = []

    def work(number: int) -> None:
        nonlocal running
        running += 1
        try:
            assert running <= size
            for _ in range(number % 3):
                sleep(0)
        finally:
            running -= 1

    def spawner(number: int, bound: float | None) -> None:
        waits = not pool.free()
        with Timeout(bound, False):
            workers.append(pool.spawn(work, number))
            if waits:
                order.append(number)

    for number, step in enumerate(steps):
        if step.startswith("spawn"):
            spawners.append(spawn(spawner, number, 0.0005 if step == "spawn briefly" else None))
        elif step.startswith("cancel"):
            threads = spawners if step == "cancel spawner" else workers
            if threads:
                threads[data.draw(st.integers(0, len(threads) - 1))].cancel()
        else:
            sleep(0)
    for thread in spawners:
        thread.join()
    pool.waitall()
    assert (pool.free(), pool.running(), pool.waiting(), running) == (size, 0, 0, 0)
    # Whoever had to wait was served in the order of asking.
    assert order == sorted(order)
