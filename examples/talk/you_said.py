"""A REP socket that answers one question after the other: python you_said.py [ENDPOINT]

The talk bound 0.0.0.0; without a word from you, this one is for your own machine alone.
"""

import sys
from contextlib import suppress

from verdant import zmq


def main(endpoint: str) -> None:
    """Answer until Ctrl-C."""
    context = zmq.Context()
    sock = context.socket(zmq.REP)
    sock.bind(endpoint)
    print("listening on", sock.getsockopt(zmq.LAST_ENDPOINT).rstrip(b"\0").decode(), flush=True)
    with suppress(KeyboardInterrupt):
        while True:
            message = sock.recv()
            sock.send(b"you said: " + message)
    context.destroy(linger=0)
    print("closed")


if __name__ == "__main__":
    main(sys.argv[1] if sys.argv[1:] else "tcp://127.0.0.1:1234")
