"""Futures: one result, once, for everybody."""

from __future__ import annotations

import threading

import pytest

from verdant import Future, TimedOut, Timeout, sleep, spawn
from verdant.sync import AlreadyDone


def test_everybody_gets_the_result_now_and_later() -> None:
    future: Future[int] = Future()
    threads = [spawn(future.wait) for _ in range(5)]
    sleep(0)
    assert not future.done
    future.set_result(5)
    assert [thread.wait() for thread in threads] == [5] * 5
    assert future.wait() == 5
    assert future.exception is None


def test_everybody_gets_the_exception() -> None:
    future: Future[int] = Future()
    threads = [spawn(future.wait) for _ in range(3)]
    sleep(0)
    future.set_exception(KeyError("no"))
    for thread in threads:
        with pytest.raises(KeyError):
            thread.wait()
    with pytest.raises(KeyError):
        future.wait()
    assert isinstance(future.exception, KeyError)


def test_it_is_ended_once() -> None:
    future: Future[None] = Future()
    future.set_result(None)
    with pytest.raises(AlreadyDone):
        future.set_result(None)
    with pytest.raises(AlreadyDone):
        future.set_exception(ValueError())
    assert future.wait() is None


def test_waits_have_bounds_and_can_be_left() -> None:
    future: Future[int] = Future()
    with pytest.raises(TimedOut):
        future.wait(0.001)
    with pytest.raises(Timeout), Timeout(0.001):
        future.wait(60)
    thread = spawn(future.wait)
    sleep(0)
    thread.cancel()
    assert thread.join(10)
    future.set_result(1)
    assert future.wait(0) == 1


def test_native_threads_race_to_end_it_and_one_wins() -> None:
    for _ in range(50):
        future: Future[int] = Future()
        start = threading.Barrier(4)
        won: list[int] = []

        def end(
            number: int,
            future: Future[int] = future,
            start: threading.Barrier = start,
            won: list[int] = won,
        ) -> None:
            start.wait(30)
            try:
                future.set_result(number)
            except AlreadyDone:
                return
            won.append(number)

        natives = [threading.Thread(target=end, args=(number,)) for number in range(4)]
        for native in natives:
            native.start()
        result = future.wait(30)
        for native in natives:
            native.join()
        assert won == [result]
