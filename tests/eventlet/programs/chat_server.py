"""A chat for several people: what one says is written to all the others."""

from __future__ import annotations

from typing import Any

from verdant import eventlet
from verdant.eventlet.green import socket

participants: set[Any] = set()


def read_for_ever(writer: Any, reader: Any) -> None:
    line = reader.readline()
    while line:
        print("chat:", line.strip(), flush=True)
        for other in list(participants):
            try:
                if other is not writer:
                    other.write(line)
                    other.flush()
            except OSError:
                # Gone already; its own thread will notice.
                continue
        line = reader.readline()
    participants.remove(writer)
    print("participant left", flush=True)


server = eventlet.listen(("127.0.0.1", 0))
print("listening", server.getsockname()[1], flush=True)
while True:
    connection, address = server.accept()
    assert isinstance(connection, socket.socket)
    new_writer = connection.makefile("w")
    participants.add(new_writer)
    eventlet.spawn_n(read_for_ever, new_writer, connection.makefile("r"))
    print("participant joined", flush=True)
