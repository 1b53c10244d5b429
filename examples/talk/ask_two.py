"""A REQ socket that asks two servers in turns: python ask_two.py [ENDPOINT ENDPOINT]"""

import sys

from verdant import zmq


def main(endpoints: list[str]) -> None:
    """Say hi as often as there are servers: each of them answers once."""
    context = zmq.Context()
    sock = context.socket(zmq.REQ)
    for endpoint in endpoints:
        sock.connect(endpoint)
    for _ in endpoints:
        sock.send(b"hi there")
        print(sock.recv().decode())
    context.destroy()


if __name__ == "__main__":
    main(sys.argv[1:] or ["tcp://127.0.0.1:1234", "tcp://127.0.0.1:4321"])
