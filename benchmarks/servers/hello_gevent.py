"""Keep-alive hello on gevent's sockets."""

import contextlib
import sys

from gevent.server import StreamServer

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"


def handle(connection, _peer):  # noqa: ANN001, ANN201 - gevent has no types
    with contextlib.suppress(ConnectionError):
        while connection.recv(8192):
            connection.sendall(ANSWER)


StreamServer(("127.0.0.1", int(sys.argv[1])), handle, backlog=4096).serve_forever()
