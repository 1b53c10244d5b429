from __future__ import annotations

from typing import Any

import pytest

from verdant import eventlet
from verdant.eventlet import pools


class Numbers(pools.Pool):
    made = 0

    def create(self) -> int:
        self.made += 1
        return self.made


def test_items_are_lent_and_come_back() -> None:
    pool = Numbers(min_size=1, max_size=2)
    assert (pool.made, pool.free(), pool.waiting()) == (1, 2, 0)
    with pool.item() as one:
        assert one == 1
        assert pool.free() == 1
        assert pool.get() == 2
        assert pool.free() == 0
    assert pool.free() == 1
    assert pool.get() == 1


def test_one_who_waits_gets_what_comes_back() -> None:
    pool = Numbers(max_size=1)
    item = pool.get()
    waiter = eventlet.spawn(pool.get)
    eventlet.sleep(0)
    assert pool.waiting() == 1
    pool.put(item)
    assert waiter.wait() == item
    assert pool.waiting() == 0


def test_creating_by_argument() -> None:
    pool = pools.Pool(create=lambda: "made")
    assert pool.get() == "made"
    with pytest.raises(NotImplementedError):
        pools.Pool().get()


def test_order() -> None:
    turn, stack = Numbers(max_size=2), Numbers(max_size=2, order_as_stack=True)
    for pool, expected in ((turn, 1), (stack, 2)):
        first, second = pool.get(), pool.get()
        pool.put(first)
        pool.put(second)
        assert pool.get() == expected


def test_resize() -> None:
    pool = Numbers(max_size=2)
    first, second = pool.get(), pool.get()
    pool.resize(1)
    pool.put(first)
    pool.put(second)
    assert pool.free() == 1
    assert pool.current_size == 1
    pool.resize(2)
    assert pool.free() == 2


def test_a_failure_to_make_one_costs_no_place() -> None:
    results: list[Any] = [OSError("down"), "up"]

    def create() -> Any:
        result = results.pop(0)
        if isinstance(result, Exception):
            raise result
        return result

    pool = pools.Pool(max_size=1, create=create)
    with pytest.raises(OSError, match="down"):
        pool.get()
    assert pool.get() == "up"


@pytest.mark.differs("in Eventlet one who waits goes on waiting", hangs=True)
def test_after_a_failure_to_make_one_the_next_may_try() -> None:
    go = eventlet.Event()
    attempts: list[int] = []

    def create() -> str:
        attempts.append(1)
        if len(attempts) == 1:
            go.wait()
            raise OSError("down")
        return "up"

    pool = pools.Pool(max_size=1, create=create)
    first = eventlet.spawn(pool.get)
    second = eventlet.spawn(pool.get)
    eventlet.sleep(0)
    go.send()
    with pytest.raises(OSError, match="down"):
        first.wait()
    assert second.wait() == "up"


def test_a_killed_borrower_loses_nothing() -> None:
    pool = pools.TokenPool(max_size=1)
    token = pool.get()
    waiter = eventlet.spawn(pool.get)
    eventlet.sleep(0)
    waiter.kill()
    pool.put(token)
    assert pool.free() == 1


def test_token_pool() -> None:
    pool = pools.TokenPool(max_size=4)
    with pool.item() as one, pool.item() as other:
        assert one is not other
        assert pool.free() == 2
    assert pool.free() == 4
