"""The floor: plain pyzmq, one call after the other, no concurrency: zmq_blocking.py PORT"""

from __future__ import annotations

import sys

import zmq


def handle(request: bytes) -> bytes:
    return request * 2


socket = zmq.Context().socket(zmq.ROUTER)
socket.bind(f"tcp://127.0.0.1:{sys.argv[1]}")
while True:
    parts = socket.recv_multipart()
    end = parts.index(b"")
    socket.send_multipart([*parts[: end + 1], handle(parts[end + 1])])
