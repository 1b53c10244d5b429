"""The talk's service: python handle_request.py [ENDPOINT] [SECONDS]

Each request has a green thread of its own, so that others are answered while one sleeps.
"""

import sys
from contextlib import suppress

from verdant import sleep
from verdant.zmq import XREP, zmq_loop

ENDPOINT = sys.argv[1] if sys.argv[1:] else "tcp://127.0.0.1:8000"
SECONDS = float(sys.argv[2]) if sys.argv[2:] else 10


@zmq_loop(XREP, ENDPOINT)
def handle_request(string: bytes) -> bytes:
    """What it was given, twice, after a while."""
    sleep(SECONDS)
    return string * 2


if __name__ == "__main__":
    handle_request.start()
    print("listening on", handle_request.endpoint, flush=True)
    with suppress(KeyboardInterrupt):
        handle_request.run(grace_s=SECONDS)
    print("closed")
