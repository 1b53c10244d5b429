"""A PULL socket that takes what any PUSH sends: python pull_logs.py [ENDPOINT]"""

import sys
from contextlib import suppress

from verdant import zmq


def main(endpoint: str) -> None:
    """Print lines until Ctrl-C."""
    context = zmq.Context()
    sock = context.socket(zmq.PULL)
    sock.bind(endpoint)
    print("listening on", sock.getsockopt(zmq.LAST_ENDPOINT).rstrip(b"\0").decode(), flush=True)
    with suppress(KeyboardInterrupt):
        while True:
            print(sock.recv().decode(), flush=True)
    context.destroy(linger=0)
    print("closed")


if __name__ == "__main__":
    main(sys.argv[1] if sys.argv[1:] else "tcp://127.0.0.1:1234")
