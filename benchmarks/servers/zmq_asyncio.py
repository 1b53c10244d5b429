"""The same by hand on zmq.asyncio and uvloop: zmq_asyncio.py PORT"""

from __future__ import annotations

import asyncio
import sys

import uvloop
import zmq
import zmq.asyncio


async def handle(request: bytes) -> bytes:
    return request * 2


async def main() -> None:
    socket = zmq.asyncio.Context().socket(zmq.ROUTER)
    socket.bind(f"tcp://127.0.0.1:{sys.argv[1]}")
    tasks: set[asyncio.Task[None]] = set()

    async def answer(parts: list[bytes], end: int) -> None:
        await socket.send_multipart([*parts[: end + 1], await handle(parts[end + 1])])

    while True:
        message = await socket.recv_multipart()
        task = asyncio.create_task(answer(message, message.index(b"")))
        tasks.add(task)
        task.add_done_callback(tasks.discard)


uvloop.run(main())
