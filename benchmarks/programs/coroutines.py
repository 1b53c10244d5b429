"""One primitive on asyncio with uvloop: prints what one operation costs, as green.py does.

python coroutines.py QUESTION
"""

from __future__ import annotations

import asyncio
import sys
import time
from typing import TYPE_CHECKING

import uvloop
from green import resident_bytes

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


async def cpu_us(operations: int, call: Callable[[], Awaitable[object]]) -> float:
    began = time.process_time()
    await call()
    return (time.process_time() - began) / operations * 1e6


async def switch(tasks: int = 100, count: int = 3_000) -> float:
    async def loop() -> None:
        for _ in range(count):
            await asyncio.sleep(0)

    async def run() -> None:
        await asyncio.gather(*(loop() for _ in range(tasks)))

    return await cpu_us(tasks * count, run)


async def spawn(count: int = 100_000) -> float:
    async def nothing() -> None:
        return

    async def run() -> None:
        for _ in range(count // 100):
            for task in [asyncio.create_task(nothing()) for _ in range(100)]:
                await task

    return await cpu_us(count, run)


async def parked(count: int = 20_000) -> float:
    event = asyncio.Event()
    begun = []

    async def park() -> None:
        begun.append(None)
        await event.wait()

    before = resident_bytes()
    tasks = [asyncio.create_task(park()) for _ in range(count)]
    while len(begun) < count:
        await asyncio.sleep(0.01)
    used = resident_bytes() - before
    event.set()
    for task in tasks:
        await task
    return used / count


async def timers(count: int = 200_000) -> float:
    async def run() -> None:
        for _ in range(count):
            async with asyncio.timeout(60):
                pass

    return await cpu_us(count, run)


async def queue(count: int = 200_000) -> float:
    items: asyncio.Queue[int] = asyncio.Queue(1)

    async def produce() -> None:
        for number in range(count):
            await items.put(number)

    async def run() -> None:
        producer = asyncio.create_task(produce())
        for _ in range(count):
            await items.get()
        await producer

    return await cpu_us(count, run)


QUESTIONS = {"yield": switch, "spawn": spawn, "parked": parked, "timers": timers, "queue": queue}

if __name__ == "__main__":
    print(uvloop.run(QUESTIONS[sys.argv[1]]()))
