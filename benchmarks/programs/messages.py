"""One side of a ZeroMQ conversation: prints the CPU µs per message of this process.

python messages.py RUNTIME QUESTION: plain, verdant or gevent; `reqrep`, `pull1` or `pull100`. The
other side is a child of its own (`python messages.py other QUESTION PORT`), in plain pyzmq, so that
what is counted is one side alone, libzmq's I/O thread included.
"""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import zmq as pyzmq

if TYPE_CHECKING:
    from collections.abc import Callable

BODY = b"x" * 64
ROUND_TRIPS = 30_000
MESSAGES = 300_000
RECEIVERS = {"pull1": 1, "pull100": 100}
END = b"end"


def other(question: str, port: int) -> None:
    context = pyzmq.Context()
    if question == "reqrep":
        socket = context.socket(pyzmq.REP)
        socket.connect(f"tcp://127.0.0.1:{port}")
        while (message := socket.recv()) != END:
            socket.send(message)
        socket.send(END)
        socket.recv()
    else:
        socket = context.socket(pyzmq.PUSH)
        socket.connect(f"tcp://127.0.0.1:{port}")
        for _ in range(MESSAGES):
            socket.send(BODY)
    socket.close()
    context.term()


def start(question: str, port: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, __file__, "other", question, str(port)])


def measure(operations: int, call: Callable[[], object]) -> float:
    began = time.process_time()
    call()
    return (time.process_time() - began) / operations * 1e6


def ask(zmq: Any, question: str, spawn: Callable[..., Any]) -> float:  # noqa: ANN401 - a module
    context = zmq.Context()
    socket = context.socket(zmq.REQ if question == "reqrep" else zmq.PULL)
    peer = start(question, socket.bind_to_random_port("tcp://127.0.0.1"))

    def round_trips() -> None:
        for _ in range(ROUND_TRIPS):
            socket.send(BODY)
            socket.recv()

    left = MESSAGES - 1

    def receive() -> None:
        nonlocal left
        while left > 0:
            left -= 1
            socket.recv()

    def receive_all() -> None:
        # Each takes a message off the count before it asks, so that none waits in vain.
        for thread in [spawn(receive) for _ in range(RECEIVERS[question])]:
            thread.join()

    def one_green_thread() -> None:
        spawn(round_trips).join()

    if question == "reqrep":
        socket.send(BODY)
        socket.recv()
        cost = measure(ROUND_TRIPS, one_green_thread)
        socket.send(END)
        socket.recv()
    else:
        # The first one waits for the peer to start.
        socket.recv()
        cost = measure(MESSAGES - 1, receive_all)
    peer.kill()
    peer.wait()
    socket.close(0)
    context.term()
    return cost


def main() -> None:
    runtime, question = sys.argv[1:3]
    if runtime == "other":
        other(question, int(sys.argv[3]))
        return
    zmq: Any
    if runtime == "plain":
        zmq = pyzmq

        def spawn(fn: Callable[[], None]) -> threading.Thread:
            thread = threading.Thread(target=fn)
            thread.start()
            return thread
    elif runtime == "verdant":
        import verdant
        from verdant import zmq

        spawn = verdant.spawn
    else:
        import gevent
        from zmq import green as zmq

        spawn = gevent.spawn
    print(ask(zmq, question, spawn))


if __name__ == "__main__":
    main()
