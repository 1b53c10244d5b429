"""What `zmq_loop` does, in its simplest form: python loop_by_hand.py [ENDPOINT] [SECONDS]

The talk tried to receive, and slept for 0.1 s where there was nothing. Here `recv_multipart` parks
until there is something. `zmq_loop` adds what a server needs: a bound, errors, and an end.
"""

import sys
from contextlib import suppress

from verdant import sleep, spawn, zmq


def main(endpoint: str, seconds: float) -> None:
    """Answer each request in a green thread until Ctrl-C."""
    context = zmq.Context()
    sock = context.socket(zmq.XREP)
    sock.bind(endpoint)
    print("listening on", sock.getsockopt(zmq.LAST_ENDPOINT).rstrip(b"\0").decode(), flush=True)

    def call(identities: list[bytes], data: bytes) -> None:
        sleep(seconds)
        sock.send_multipart([*identities, b"", data * 2])

    with suppress(KeyboardInterrupt):
        while True:
            parts = sock.recv_multipart()
            identities = parts[: parts.index(b"")]
            spawn(call, identities, parts[-1])
    context.destroy(linger=0)
    print("closed")


if __name__ == "__main__":
    main(
        sys.argv[1] if sys.argv[1:] else "tcp://127.0.0.1:8000",
        float(sys.argv[2]) if sys.argv[2:] else 10,
    )
