"""A bound on a whole block: python give_up.py HOST:PORT [SECONDS]

The bound holds for everything in the block together: connecting, sending, and every receive.
"""

import sys
from contextlib import closing

from verdant import Timeout, connect


def do_stuff(address: str) -> bytes:
    """Say hello to a server and read what it answers, up to the end of the line."""
    with closing(connect(address)) as stream:
        stream.sendall(b"hello\n")
        answer = b""
        while not answer.endswith(b"\n"):
            piece = stream.recv(100)
            if not piece:
                break
            answer += piece
    return answer


def main(address: str, seconds: float) -> None:
    """Print the answer, or that there was none in time."""
    try:
        with Timeout(seconds):
            print(do_stuff(address).decode().rstrip())
    except Timeout as exc:
        print(f"abort, abort: {exc}")


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]) if sys.argv[2:] else 30)
