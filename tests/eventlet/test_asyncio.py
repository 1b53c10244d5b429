from __future__ import annotations

import asyncio as native
from typing import TYPE_CHECKING, Any

import pytest
from greenlet import GreenletExit

from verdant import aio, eventlet
from verdant.eventlet.asyncio import spawn_for_awaitable
from verdant.eventlet.debug import format_asyncio_info

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def _no_loop_is_left() -> Iterator[None]:
    yield
    aio.stop()


def test_a_coroutine_as_a_green_thread() -> None:
    async def add(a: int, b: int) -> int:
        await native.sleep(0)
        return a + b

    threads = [spawn_for_awaitable(add(number, 1)) for number in range(3)]
    assert [thread.wait() for thread in threads] == [1, 2, 3]


def test_its_failure_and_its_end() -> None:
    cancelled: list[str] = []

    async def fail() -> None:
        raise OSError("in the coroutine")

    async def wait() -> None:
        try:
            await native.sleep(100)
        except native.CancelledError:
            cancelled.append("yes")
            raise

    with pytest.raises(OSError, match="in the coroutine"):
        spawn_for_awaitable(fail()).wait()
    thread = spawn_for_awaitable(wait())
    eventlet.sleep(0.01)
    thread.kill()
    with pytest.raises(GreenletExit):
        thread.wait()
    assert cancelled == ["yes"]


def test_a_green_thread_can_be_awaited() -> None:
    gate = eventlet.Event()

    async def program() -> Any:
        thread = eventlet.spawn(gate.wait)
        eventlet.spawn_n(gate.send, "sent")
        assert "program" in format_asyncio_info()
        return await thread

    assert spawn_for_awaitable(program()).wait() == "sent"
    assert format_asyncio_info() == "TASKS:"


def test_cancelling_the_wait_kills_the_thread() -> None:
    ends: list[str] = []

    def work() -> None:
        try:
            eventlet.sleep(100)
        except GreenletExit:
            ends.append("killed")
            raise

    async def program() -> None:
        thread = eventlet.spawn(work)
        with pytest.raises(native.TimeoutError):
            await native.wait_for(thread, 0.02)

    spawn_for_awaitable(program()).wait()
    eventlet.sleep(0)
    assert ends == ["killed"]
