"""Forward a port: two green threads per connection, one for each direction."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from verdant import eventlet
from verdant.eventlet.green import socket


def closed() -> None:
    print("connection closed", flush=True)


def forward(source: Any, target: Any, when_done: Callable[[], None] = lambda: None) -> None:
    while True:
        data = source.recv(32384)
        if not data:
            break
        target.sendall(data)
    target.shutdown(socket.SHUT_WR)
    when_done()


listener = eventlet.listen(("127.0.0.1", 0))
print("listening", listener.getsockname()[1], flush=True)
while True:
    client, address = listener.accept()
    server = eventlet.connect(("127.0.0.1", int(sys.argv[1])))
    eventlet.spawn_n(forward, client, server, closed)
    eventlet.spawn_n(forward, server, client)
