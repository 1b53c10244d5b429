"""The same by hand on zmq.green and gevent: zmq_gevent.py PORT"""

from __future__ import annotations

import sys

import gevent
import zmq.green as zmq


def handle(request: bytes) -> bytes:
    return request * 2


socket = zmq.Context().socket(zmq.ROUTER)
socket.bind(f"tcp://127.0.0.1:{sys.argv[1]}")


def answer(parts: list[bytes], end: int) -> None:
    socket.send_multipart([*parts[: end + 1], handle(parts[end + 1])])


while True:
    message = socket.recv_multipart()
    gevent.spawn(answer, message, message.index(b""))
