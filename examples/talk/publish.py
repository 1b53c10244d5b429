"""A PUB socket that connects to whoever listens: python publish.py [ENDPOINT]

A PUB throws away what nobody has subscribed to yet, and the first subscription takes a moment to
arrive. So this is an XPUB: a PUB that hears of its subscriptions, and can wait for one.
"""

import sys

from verdant import zmq


def main(endpoint: str) -> None:
    """Publish one message, once somebody listens."""
    context = zmq.Context()
    sock = context.socket(zmq.XPUB)
    sock.connect(endpoint)
    sock.recv()
    sock.send(b"Hello, world!")
    context.destroy()


if __name__ == "__main__":
    main(sys.argv[1] if sys.argv[1:] else "tcp://127.0.0.1:1234")
