"""A request that is given up after a while: python only_hope.py ENDPOINT [SECONDS]

A REQ socket whose answer never came cannot ask again: it waits for that answer for ever. The
client can: here it asks twice, and an answer that comes late is taken for nobody's.
"""

import sys

from verdant import Timeout
from verdant.zmq import Client


def main(endpoint: str, seconds: float) -> None:
    """Ask for help, and once more."""
    with Client(endpoint) as client:
        for request in (b"help me! you're my only hope!", b"anybody?"):
            try:
                with Timeout(seconds):
                    print(client.call(request).decode())
            except Timeout as exc:
                print(f"cleaning up: {exc}")


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]) if sys.argv[2:] else 30)
