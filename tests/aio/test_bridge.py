"""One call across the border: results, errors, interrupts and context, in both directions."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import logging
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from verdant import Cancelled, Event, Queue, TimedOut, Timeout, WasCancelled, aio, sleep, spawn
from verdant.aio.loop import Loop

if TYPE_CHECKING:
    from collections.abc import Callable

number: contextvars.ContextVar[int] = contextvars.ContextVar("number", default=0)


async def double(value: int) -> int:
    await asyncio.sleep(0)
    return value * 2


# From green code.


def test_a_coroutines_result_comes_back() -> None:
    assert aio.wait(double(21)) == 42


def test_a_coroutines_exception_comes_back_as_it_is() -> None:
    error = KeyError("x")

    async def fail() -> None:
        raise error

    with pytest.raises(KeyError) as caught:
        aio.wait(fail())
    assert caught.value is error


def test_many_green_threads_share_one_loop() -> None:
    async def meet(gate: list[asyncio.Event]) -> asyncio.AbstractEventLoop:
        if not gate:
            gate.append(asyncio.Event())
        everybody.append(1)
        if len(everybody) == 100:
            gate[0].set()
        await gate[0].wait()
        return asyncio.get_running_loop()

    everybody: list[int] = []
    gate: list[asyncio.Event] = []
    threads = [spawn(aio.wait, meet(gate)) for _ in range(100)]
    assert len({thread.wait() for thread in threads}) == 1


def test_any_awaitable_will_do() -> None:
    class Later:
        def __await__(self) -> object:
            return double(4).__await__()

    assert aio.wait(Later()) == 8  # type: ignore[arg-type] # only asyncio knows that it is one

    async def make() -> asyncio.Task[int]:
        return asyncio.create_task(double(5))

    assert aio.wait(aio.wait(make())) == 10


def test_what_is_no_awaitable_is_refused() -> None:
    with pytest.raises(TypeError, match="awaitable"):
        aio.wait(7)  # type: ignore[arg-type]


def test_a_timeout_cancels_the_task_and_waits_for_its_end() -> None:
    ended: list[str] = []

    async def slow() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.001)
            ended.append("cleaned up")

    with pytest.raises(Timeout) as caught, Timeout(0.01) as scope:
        aio.wait(slow())
    assert caught.value is scope
    assert ended == ["cleaned up"]
    with pytest.raises(TimedOut) as plain:
        aio.wait(slow(), timeout=0.01)
    assert type(plain.value) is TimedOut
    assert ended == ["cleaned up"] * 2


def test_cancel_crosses_to_the_task() -> None:
    begun, ended = Event(), []

    async def slow() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            ended.append(asyncio.current_task())
            raise

    thread = spawn(aio.wait, slow())
    begun.wait()
    thread.cancel()
    with pytest.raises(WasCancelled):
        thread.wait()
    assert len(ended) == 1


def test_interrupted_before_it_began_the_coroutine_never_begins() -> None:
    begun: list[int] = []

    async def never() -> None:
        begun.append(1)

    def cancelled_at_its_first_wait() -> None:
        thread.cancel()
        aio.wait(never())

    thread = spawn(cancelled_at_its_first_wait)
    assert thread.join()
    aio.wait(asyncio.sleep(0))
    assert begun == []


def test_a_task_that_ignores_its_cancellation_is_left_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("verdant.aio.bridge.CANCEL_S", 0.01)
    let_go = Event()

    async def stubborn() -> None:
        while not let_go.is_set():
            try:
                await aio.spawn(let_go.wait)
            except asyncio.CancelledError:
                continue

    with pytest.raises(Timeout), Timeout(0.01):
        aio.wait(stubborn())
    assert not let_go.is_set()
    let_go.set()


def test_what_a_cancelled_task_fails_with_is_reported(caplog: pytest.LogCaptureFixture) -> None:
    async def fails_at_the_end() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            raise KeyError("clean-up")

    with pytest.raises(Timeout), Timeout(0.01):
        aio.wait(fails_at_the_end())
    # asyncio reports it once nobody can ask any more.
    gc.collect()
    assert "never retrieved" in caplog.text
    assert "clean-up" in caplog.text


def test_cancelled_by_another_task_is_not_cancelled_itself() -> None:
    async def cancels_itself() -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await asyncio.sleep(0)

    with pytest.raises(WasCancelled, match="task"):
        aio.wait(cancels_itself())


def test_stopping_the_loop_ends_every_wait() -> None:
    thread = spawn(aio.wait, asyncio.Event().wait())
    aio.wait(asyncio.sleep(0))
    late = spawn(aio.wait, double(1))
    assert aio.stop()
    with pytest.raises(WasCancelled):
        thread.wait()
    # It asked after the stop, so another loop serves it.
    assert late.wait() == 2


def test_stopping_abandons_what_has_not_begun() -> None:
    async def never() -> None:
        raise AssertionError("begun in a loop that is at its end")

    async def keeps_the_loop_closing() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            waits.append(spawn(aio.wait, asyncio.sleep(0, "another loop")))

    waits: list[object] = []
    thread = spawn(aio.wait, keeps_the_loop_closing())
    aio.wait(asyncio.sleep(0))
    assert aio.stop()
    assert thread.join()
    assert [wait.wait() for wait in waits] == ["another loop"]  # type: ignore[attr-defined]


def test_a_future_of_a_loop_elsewhere_is_refused() -> None:
    loop = asyncio.new_event_loop()
    try:
        with pytest.raises(aio.OutsideLoop, match="pass the coroutine"):
            aio.wait(loop.create_future())
    finally:
        loop.close()


def test_context_variables_are_inherited_in_both_directions() -> None:
    async def look() -> tuple[int, int]:
        seen = number.get()
        number.set(seen + 1)
        return seen, await aio.spawn(number.get)

    number.set(6)
    assert aio.wait(look()) == (6, 7)
    # What a task sets is the task's own, as in asyncio.
    assert number.get() == 6
    number.set(0)


# From coroutines.


def test_a_green_threads_result_and_exception_come_back() -> None:
    def divide(a: int, b: int) -> float:
        sleep(0)
        return a / b

    async def main() -> float:
        with pytest.raises(ZeroDivisionError):
            await aio.spawn(divide, 1, 0)
        return await aio.spawn(divide, 6, 2)

    assert aio.wait(main()) == 3


def test_stop_iteration_does_not_hang_the_coroutine() -> None:
    async def main() -> None:
        with pytest.raises(RuntimeError, match="StopIteration"):
            await aio.spawn(next, iter(()))

    aio.wait(main())


def test_green_threads_of_coroutines_run_at_once_and_in_task_groups() -> None:
    async def main() -> list[int]:
        queue: Queue[int] = Queue(1)
        taken: list[int] = []

        def take() -> None:
            taken.extend(queue.get() for _ in range(50))

        def put() -> None:
            for item in range(50):
                queue.put(item)

        async with asyncio.TaskGroup() as group:
            group.create_task(aio.spawn(take))
            group.create_task(aio.spawn(put))
        return taken

    assert aio.wait(main()) == list(range(50))


def test_asyncio_timeout_cancels_the_green_thread_and_waits_for_its_end() -> None:
    ended: list[str] = []

    def slow() -> None:
        try:
            Event().wait()
        finally:
            sleep(0.001)
            ended.append("cleaned up")

    async def main() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await aio.spawn(slow)
        assert ended == ["cleaned up"]
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(aio.spawn(slow), 0.01)
        assert ended == ["cleaned up"] * 2

    aio.wait(main())


def test_a_cancelled_green_thread_may_still_answer_or_fail() -> None:
    def ends_with(end: Callable[[], str]) -> str:
        begun.put(1)
        try:
            Event().wait()
        except Cancelled:
            return end()
        raise AssertionError

    def fail() -> str:
        raise KeyError("clean-up")

    begun: Queue[int] = Queue()

    async def main() -> None:
        answering = asyncio.create_task(aio.spawn(ends_with, lambda: "answer"))
        failing = asyncio.create_task(aio.spawn(ends_with, fail))
        for _ in range(2):
            await aio.spawn(begun.get)
        answering.cancel()
        failing.cancel()
        # As with a task inside a task: who is cancelled decides what comes of it.
        assert await answering == "answer"
        with pytest.raises(KeyError):
            await failing

    aio.wait(main())


def test_a_cancelled_task_ends_as_cancelled() -> None:
    async def main() -> None:
        message = "no longer wanted"
        task = asyncio.create_task(aio.spawn(Event().wait))
        await asyncio.sleep(0)
        task.cancel(message)
        with pytest.raises(asyncio.CancelledError, match=message):
            await task
        # Before its first step: nothing is spawned.
        begun: list[int] = []
        early = asyncio.create_task(aio.spawn(begun.append, 1))
        early.cancel()
        with pytest.raises(asyncio.CancelledError):
            await early
        await asyncio.sleep(0)
        assert begun == []

    aio.wait(main())


def test_a_cancellation_between_a_threads_end_and_its_news_is_not_lost() -> None:
    async def main() -> None:
        ended = asyncio.Event()
        task = asyncio.create_task(aio.spawn(lambda: None))
        await asyncio.sleep(0)
        # The green thread has run to its end, and the loop has not heard of it yet.
        sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        ended.set()

    aio.wait(main())


def test_a_stdlib_loop_has_no_room_for_green_threads() -> None:
    async def main() -> None:
        with pytest.raises(aio.OutsideLoop, match=r"aio\.run"):
            await aio.spawn(sleep)

    asyncio.run(main())


def test_waiting_in_the_loops_own_thread_is_refused_with_the_remedy() -> None:
    async def main() -> None:
        for call in (aio.wait, aio.run):
            with pytest.raises(aio.InsideLoop, match=r"`await aio\.spawn\(fn\)`"):
                call(double(1))
        with pytest.raises(aio.InsideLoop):
            aio.stop()
        assert await aio.spawn(aio.wait, double(1)) == 2

    aio.wait(main())
    aio.run(main())


def test_green_code_under_a_coroutine_uses_the_coroutines_loop() -> None:
    async def main() -> None:
        here = asyncio.get_running_loop()
        assert isinstance(here, Loop)
        lock = asyncio.Lock()

        async def locked() -> asyncio.AbstractEventLoop:
            async with lock:
                return asyncio.get_running_loop()

        def green() -> object:
            return spawn(aio.wait, locked()).wait()

        assert await aio.spawn(green) is here
        # A task of that loop can be waited for by the green thread too.
        task = asyncio.create_task(double(3))
        assert await aio.spawn(aio.wait, task) == 6

    aio.run(main())


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.integers(0, 6), st.booleans()), min_size=1, max_size=12
    )
)
def test_whatever_is_cancelled_when_every_wait_ends_once(
    plan: list[tuple[int, int, bool]],
) -> None:
    """Green threads wait for coroutines that await green threads; some are cancelled meanwhile."""
    began: list[int] = []
    ended: list[int] = []

    def leaf(turns: int) -> int:
        for _ in range(turns):
            sleep(0)
        return turns

    async def middle(number: int, turns: int) -> int:
        began.append(number)
        try:
            return await aio.spawn(leaf, turns)
        finally:
            ended.append(number)

    def outer(number: int, turns: int) -> int:
        return aio.wait(middle(number, turns))

    threads = [spawn(outer, n, turns) for n, (turns, _, _) in enumerate(plan)]
    for turn in range(7):
        for thread, (_, when, cancels) in zip(threads, plan, strict=True):
            if cancels and when == turn:
                thread.cancel()
        sleep(0)
    for thread, (turns, _, cancels) in zip(threads, plan, strict=True):
        try:
            assert thread.wait() == turns
        except WasCancelled:
            assert cancels
    assert sorted(began) == sorted(ended)
    assert len(set(ended)) == len(ended)


def test_a_green_timeout_in_a_coroutine_is_reported_and_harmless(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def main() -> str:
        with Timeout(0.001) as scope:

            def until_expired() -> None:
                while not scope.expired:
                    sleep(0.001)

            # No timer of the loop's own: due at the same time, it would be what ends its wait.
            await aio.spawn(until_expired)
        return "went on"

    with caplog.at_level(logging.ERROR, "asyncio"):
        assert aio.wait(main()) == "went on"
    assert "asyncio.timeout()" in caplog.text
