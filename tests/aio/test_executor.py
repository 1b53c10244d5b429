"""The executor keeps the stdlib's promises; the programs under a patch are in tests/isolated."""

from __future__ import annotations

import threading
from concurrent.futures import CancelledError, Future

import pytest

from verdant.aio.executor import THREADS_MAX, NativeExecutor, threads_are_green


@pytest.fixture
def executor() -> NativeExecutor:
    return NativeExecutor()


def test_results_exceptions_and_keywords(executor: NativeExecutor) -> None:
    with executor:
        assert executor.submit(int, "ff", base=16).result(20) == 255
        assert list(executor.map(abs, [-1, -2], timeout=20)) == [1, 2]
        with pytest.raises(ZeroDivisionError):
            executor.submit(divmod, 1, 0).result(20)
    with pytest.raises(RuntimeError, match="after shutdown"):
        executor.submit(int)


def test_as_many_threads_as_calls_at_once_and_no_more(executor: NativeExecutor) -> None:
    barrier = threading.Barrier(THREADS_MAX)

    def meet() -> int:
        barrier.wait(20)
        return threading.get_ident()

    with executor:
        for _ in range(3):
            # Each round needs all of them, and finds those of the round before.
            futures = [executor.submit(meet) for _ in range(THREADS_MAX)]
            assert len({future.result(20) for future in futures}) == THREADS_MAX


def test_shutdown_waits_for_what_runs_and_may_drop_what_does_not(executor: NativeExecutor) -> None:
    begin, end = threading.Barrier(THREADS_MAX + 1), threading.Event()
    done: list[int] = []

    def work() -> None:
        begin.wait(20)
        end.wait(20)
        done.append(1)

    running = [executor.submit(work) for _ in range(THREADS_MAX)]
    begin.wait(20)
    waiting: Future[None] = executor.submit(work)
    executor.shutdown(wait=False, cancel_futures=True)
    with pytest.raises(CancelledError):
        waiting.result(20)
    end.set()
    executor.shutdown()
    assert len(done) == THREADS_MAX
    assert all(future.done() for future in running)


def test_a_call_that_was_cancelled_in_time_never_runs(executor: NativeExecutor) -> None:
    begin, end = threading.Barrier(THREADS_MAX + 1), threading.Event()

    def work() -> None:
        begin.wait(20)
        end.wait(20)

    ran: list[int] = []
    with executor:
        for _ in range(THREADS_MAX):
            executor.submit(work)
        begin.wait(20)
        assert executor.submit(ran.append, 1).cancel()
        end.set()
    assert ran == []


def test_threads_are_native_here() -> None:
    assert not threads_are_green()
