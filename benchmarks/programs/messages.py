"""One side of a ZeroMQ conversation: prints the CPU µs per message of this process.

    python messages.py RUNTIME QUESTION     RUNTIME: plain, verdant, gevent, uvloop
                                            QUESTION: reqrep, pull1, pull100

The other side is a child (`other QUESTION PORT...`) in plain pyzmq, so that what is counted is one
side alone, libzmq's I/O thread included. `plain` blocks, in a native thread per socket.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import zmq as pyzmq

if TYPE_CHECKING:
    from collections.abc import Callable

BODY = b"x" * 64
ROUND_TRIPS = 20_000
MESSAGES = 200_000
# One socket and one receiver for each.
RECEIVERS = {"reqrep": 1, "pull1": 1, "pull100": 100}


def other(question: str, ports: list[str]) -> None:
    context = pyzmq.Context()
    socket = context.socket(pyzmq.REP if question == "reqrep" else pyzmq.PUSH)
    for port in ports:
        socket.connect(f"tcp://127.0.0.1:{port}")
    if question == "reqrep":
        for _ in range(ROUND_TRIPS + 1):
            socket.send(socket.recv())
    else:
        # The first ones tell that we are there.
        for _ in range(MESSAGES + len(ports)):
            socket.send(BODY)
    socket.close()
    context.term()


def open_sockets(zmq: Any, question: str) -> tuple[Any, list[Any], subprocess.Popen[bytes]]:  # noqa: ANN401 - a module
    context = zmq.Context()
    kind = pyzmq.REQ if question == "reqrep" else pyzmq.PULL
    sockets = [context.socket(kind) for _ in range(RECEIVERS[question])]
    ports = [str(socket.bind_to_random_port("tcp://127.0.0.1")) for socket in sockets]
    child = subprocess.Popen([sys.executable, __file__, "other", question, *ports])
    return context, sockets, child


def ask(zmq: Any, question: str, spawn: Callable[..., Any]) -> float:  # noqa: ANN401 - a module
    context, sockets, child = open_sockets(zmq, question)

    def round_trips(socket: Any, count: int) -> None:  # noqa: ANN401
        for _ in range(count):
            socket.send(BODY)
            socket.recv()

    def receive(socket: Any, count: int) -> None:  # noqa: ANN401
        for _ in range(count):
            socket.recv()

    work = round_trips if question == "reqrep" else receive
    operations = ROUND_TRIPS if question == "reqrep" else MESSAGES

    def run(count: int) -> None:
        for thread in [spawn(work, socket, count) for socket in sockets]:
            thread.join()

    run(1)
    began = time.process_time()
    run(operations // len(sockets))
    cost = (time.process_time() - began) / operations * 1e6
    child.wait()
    for socket in sockets:
        socket.close(0)
    context.term()
    return cost


async def ask_asyncio(question: str) -> float:
    import zmq.asyncio

    context, sockets, child = open_sockets(zmq.asyncio, question)

    async def round_trips(socket: Any, count: int) -> None:  # noqa: ANN401
        for _ in range(count):
            await socket.send(BODY)
            await socket.recv()

    async def receive(socket: Any, count: int) -> None:  # noqa: ANN401
        for _ in range(count):
            await socket.recv()

    work = round_trips if question == "reqrep" else receive
    operations = ROUND_TRIPS if question == "reqrep" else MESSAGES
    await asyncio.gather(*(work(socket, 1) for socket in sockets))
    began = time.process_time()
    await asyncio.gather(*(work(socket, operations // len(sockets)) for socket in sockets))
    cost = (time.process_time() - began) / operations * 1e6
    child.wait()
    context.destroy(0)
    return cost


def native_thread(fn: Callable[..., None], *args: object) -> threading.Thread:
    thread = threading.Thread(target=fn, args=args)
    thread.start()
    return thread


def main() -> None:
    runtime, question = sys.argv[1:3]
    if runtime == "other":
        other(question, sys.argv[3:])
    elif runtime == "plain":
        print(ask(pyzmq, question, native_thread))
    elif runtime == "verdant":
        import verdant
        from verdant import zmq

        print(ask(zmq, question, verdant.spawn))
    elif runtime == "gevent":
        import gevent
        from zmq import green

        print(ask(green, question, gevent.spawn))
    else:
        import uvloop

        print(uvloop.run(ask_asyncio(question)))


if __name__ == "__main__":
    main()
