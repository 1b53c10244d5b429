"""A chat whose lines go through ZeroMQ: one publisher, and a subscriber per participant."""

from __future__ import annotations

import sys
from typing import Any

from verdant import eventlet
from verdant.eventlet.green import zmq
from verdant.eventlet.hubs import use_hub

use_hub(None)
ADDRESS = f"ipc://{sys.argv[1]}"
context = zmq.Context()


def publish(writer: Any) -> None:
    subscriber = context.socket(zmq.SUB)
    subscriber.setsockopt(zmq.SUBSCRIBE, b"")
    subscriber.connect(ADDRESS)
    while True:
        who, line = subscriber.recv_pyobj()
        writer.write(f"{who}: {line}")
        writer.flush()


def read_for_ever(reader: Any, publisher: Any) -> None:
    who = "someone"
    line = reader.readline()
    while line:
        if line.startswith("name:"):
            who = line.split(":")[-1].strip()
        publisher.send_pyobj((who, line))
        line = reader.readline()
    print("participant left", flush=True)


server = eventlet.listen(("127.0.0.1", 0))
publisher = context.socket(zmq.PUB)
publisher.bind(ADDRESS)
print("listening", server.getsockname()[1], flush=True)
eventlet.spawn_n(publish, sys.stdout)
while True:
    connection, address = server.accept()
    eventlet.spawn_n(publish, connection.makefile("w"))
    eventlet.spawn_n(read_for_ever, connection.makefile("r"), publisher)
