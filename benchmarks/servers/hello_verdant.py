"""Keep-alive hello on Verdant's streams."""

import sys

from verdant.net import Stream, listen, serve

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"


def handle(stream: Stream) -> None:
    while stream.recv(8192):
        stream.sendall(ANSWER)


# More than the default, which the connections of idle_cost.py alone would use up.
serve(listen(("127.0.0.1", int(sys.argv[1]))), handle, concurrency=20_000)
