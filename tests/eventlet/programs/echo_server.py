"""The server pattern: an accept loop, and a green thread per client."""

from __future__ import annotations

from typing import Any

from verdant import eventlet


def handle(client: Any) -> None:
    print("client connected")
    while True:
        data = client.recv(1)
        if not data:
            break
        client.sendall(data)
    print("client left", flush=True)
    client.close()


server = eventlet.listen(("127.0.0.1", 0))
print("listening", server.getsockname()[1], flush=True)
pool = eventlet.GreenPool(10000)
while True:
    try:
        connection, address = server.accept()
        pool.spawn_n(handle, connection)
    except (SystemExit, KeyboardInterrupt):
        break
print("bye", flush=True)
