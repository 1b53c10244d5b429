from __future__ import annotations

import itertools
from typing import Any

import pytest

from verdant import eventlet
from verdant.eventlet.greenpool import GreenPile, GreenPool


def passthru(a: Any) -> Any:
    eventlet.sleep(0)
    return a


def raiser(exc: Exception) -> Any:
    raise exc


def test_spawn_gives_results() -> None:
    pool = GreenPool(4)
    waiters = [pool.spawn(passthru, number) for number in range(10)]
    assert [waiter.wait() for waiter in waiters] == list(range(10))


def test_it_never_runs_more_than_its_size() -> None:
    pool = GreenPool(3)
    running = 0
    most = 0

    def job() -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        eventlet.sleep(0)
        running -= 1

    for _ in range(20):
        pool.spawn_n(job)
    pool.waitall()
    assert most == 3
    assert pool.running() == 0


def test_counts() -> None:
    pool = GreenPool(2)
    assert (pool.size, pool.free(), pool.running(), pool.waiting()) == (2, 2, 0, 0)
    evt = eventlet.Event()
    pool.spawn(evt.wait)
    assert (pool.free(), pool.running()) == (1, 1)
    pool.spawn_n(evt.wait)
    third = eventlet.spawn(pool.spawn, evt.wait)
    eventlet.sleep(0)
    assert (pool.free(), pool.running(), pool.waiting()) == (0, 2, 1)
    evt.send("done")
    assert third.wait().wait() == "done"
    pool.waitall()
    assert (pool.free(), pool.running(), pool.waiting()) == (2, 0, 0)


def test_spawn_takes_keyword_arguments_and_links() -> None:
    pool = GreenPool()
    seen: list[Any] = []
    thread = pool.spawn(lambda a, b: a - b, b=1, a=3)
    thread.link(lambda gt, tag: seen.append((tag, gt.wait())), "tag")
    pool.waitall()
    assert thread.wait() == 2
    assert seen == [("tag", 2)]


def test_a_failure_gives_its_place_back() -> None:
    pool = GreenPool(1)
    with pytest.raises(RuntimeError):
        pool.spawn(raiser, RuntimeError()).wait()
    killed = pool.spawn(eventlet.sleep, 10)
    killed.kill()
    eventlet.sleep(0)
    assert pool.spawn(passthru, 1).wait() == 1
    assert pool.free() == 1


def test_resize() -> None:
    pool = GreenPool(2)
    evt = eventlet.Event()
    for _ in range(2):
        pool.spawn(evt.wait)
    pool.resize(1)
    assert (pool.size, pool.free()) == (1, -1)
    pool.resize(3)
    assert pool.free() == 1
    pool.spawn(evt.wait)
    evt.send()
    pool.waitall()
    assert pool.free() == 3


@pytest.mark.differs("in Eventlet the waiter is not told of the new size", hangs=True)
def test_size_zero_waits_for_a_resize() -> None:
    pool = GreenPool(0)
    spawner = eventlet.spawn(pool.spawn, passthru, "ran")
    eventlet.sleep(0)
    assert pool.waiting() == 1
    pool.resize(1)
    assert spawner.wait().wait() == "ran"


def test_bad_sizes() -> None:
    with pytest.raises(TypeError):
        GreenPool("large")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="0"):
        GreenPool(-1)


def test_spawning_from_inside_a_full_pool_runs_there() -> None:
    pool = GreenPool(1)
    seen: list[Any] = []

    def outer() -> str:
        seen.append(pool.spawn(passthru, "inner").wait())
        pool.spawn_n(seen.append, "inner n")
        return "outer"

    assert pool.spawn(outer).wait() == "outer"
    assert seen == ["inner", "inner n"]
    assert pool.free() == 1


def test_waitall_from_inside_is_an_error() -> None:
    pool = GreenPool()
    with pytest.raises(AssertionError):
        pool.spawn(pool.waitall).wait()


def test_imap_keeps_the_order() -> None:
    pool = GreenPool(3)

    def slow_first(number: int) -> int:
        eventlet.sleep(0.005 if number % 3 == 0 else 0)
        return number

    assert list(pool.imap(slow_first, range(20))) == list(range(20))
    assert list(pool.imap(lambda a, b: a + b, [1, 2, 3], [10, 20])) == [11, 22]
    assert list(pool.imap(None, [1, 2], "ab")) == [(1, "a"), (2, "b")]
    assert list(pool.starmap(pow, [(2, 3), (3, 2)])) == [8, 9]
    assert list(pool.imap(passthru, [])) == []


def test_imap_begins_at_once_and_is_bounded() -> None:
    pool = GreenPool(2)
    started: list[int] = []

    def note(number: int) -> int:
        started.append(number)
        return number

    results = pool.imap(note, itertools.count())
    for _ in range(20):
        eventlet.sleep(0)
    assert 2 <= len(started) < 10
    assert [next(results) for _ in range(5)] == [0, 1, 2, 3, 4]


def test_imap_raises_in_place_and_goes_on() -> None:
    pool = GreenPool(2)

    def odd(number: int) -> int:
        if number % 2:
            raise KeyError(number)
        return number

    results = pool.imap(odd, range(4))
    assert next(results) == 0
    with pytest.raises(KeyError):
        next(results)
    assert next(results) == 2
    with pytest.raises(KeyError):
        next(results)
    with pytest.raises(StopIteration):
        next(results)


@pytest.mark.differs("in Eventlet the consumer waits for ever", hangs=True)
def test_imap_tells_of_an_iterable_that_fails() -> None:
    def numbers() -> Any:
        yield 1
        raise OSError("no more")

    results = GreenPool().imap(passthru, numbers())
    assert next(results) == 1
    with pytest.raises(OSError, match="no more"):
        next(results)


def test_pile() -> None:
    pile = GreenPile(4)
    for number in range(5):
        pile.spawn(passthru, a=number)
    assert pile.counter == 5
    assert next(pile) == 0
    assert list(pile) == [1, 2, 3, 4]
    with pytest.raises(StopIteration):
        next(pile)


def test_piles_share_a_pool() -> None:
    pool = GreenPool(2)
    first, second = GreenPile(pool), GreenPile(pool)
    for number in range(10):
        first.spawn(passthru, number)
        second.spawn(passthru, -number)
    assert list(second) == [-number for number in range(10)]
    assert list(first) == list(range(10))
    assert eventlet.GreenPile().pool.size == 1000


def test_a_failure_in_a_pile() -> None:
    pile = GreenPile(2)
    pile.spawn(passthru, 1)
    pile.spawn(raiser, OSError("here"))
    pile.spawn(passthru, 3)
    assert next(pile) == 1
    with pytest.raises(OSError, match="here"):
        next(pile)
    assert next(pile) == 3


@pytest.mark.differs("a failure that is collected is not printed as well")
def test_collected_failures_are_not_printed(capfd: Any) -> None:
    pile = GreenPile()
    pile.spawn(raiser, OSError("collected"))
    eventlet.sleep(0)
    with pytest.raises(OSError, match="collected"):
        next(pile)
    assert capfd.readouterr().err == ""
