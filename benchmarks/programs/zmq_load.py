"""A load of calls on plain pyzmq: zmq_load.py PORT CALLS IN_FLIGHT

Keeps IN_FLIGHT calls under way on one DEALER, checks every answer against its question, and ends
after CALLS of them.
"""

from __future__ import annotations

import sys

import zmq


def main(port: int, calls: int, in_flight: int) -> None:
    socket = zmq.Context().socket(zmq.DEALER)
    socket.set(zmq.RCVTIMEO, 60_000)
    socket.connect(f"tcp://127.0.0.1:{port}")
    sent = 0
    for got in range(calls):
        while sent < min(calls, got + in_flight):
            socket.send_multipart([b"%d" % sent, b"", b"%08d" % sent])
            sent += 1
        number, _, answer = socket.recv_multipart()
        if answer != b"%08d" % int(number) * 2:
            raise SystemExit(f"call {number!r} was answered with {answer!r}")


main(*map(int, sys.argv[1:4]))
