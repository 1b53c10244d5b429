"""Keep-alive hello on Eventlet's sockets."""

import contextlib
import sys

import eventlet

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"


def handle(connection, _peer):  # noqa: ANN001, ANN201 - Eventlet has no types
    with contextlib.suppress(ConnectionError):
        while connection.recv(8192):
            connection.sendall(ANSWER)


eventlet.serve(eventlet.listen(("127.0.0.1", int(sys.argv[1])), backlog=4096), handle, 20_000)
