"""A server for ten thousand connections at once: python front_door.py [HOST:PORT]

A green thread per connection, straight-line code in each. This one says back every line, in
capitals; the talk's gave the connection to a balancer.
"""

import sys

from verdant import listen, serve
from verdant.net import Stream, bound_address


def handle(stream: Stream) -> None:
    """Serve one connection, until its client closes it."""
    with stream.socket.makefile("rb") as lines:
        for line in lines:
            stream.sendall(line.upper())


def main(address: str) -> None:
    """Serve until Ctrl-C, then let what is open end within five seconds."""
    sock = listen(address)
    print(f"listening on {bound_address(sock)}", flush=True)
    try:
        serve(sock, handle, concurrency=10_000, grace_s=5)
    except KeyboardInterrupt:
        print("closed")


if __name__ == "__main__":
    main(sys.argv[1] if sys.argv[1:] else "0.0.0.0:8000")
