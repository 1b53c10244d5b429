"""A PUSH socket connected to all log servers: python push_logs.py LINES ENDPOINT …

Lines go to the servers in turns. A server that dies takes what was sent to it along: this is how
the talk's platform logged, and why `verdant.logs` waits for acknowledgements.
"""

import sys

from verdant import zmq


def main(lines: int, endpoints: list[str]) -> None:
    """Send `lines` lines."""
    context = zmq.Context()
    sock = context.socket(zmq.PUSH)
    for endpoint in endpoints:
        sock.connect(endpoint)
    for number in range(lines):
        sock.send(b"line %d" % number)
    context.destroy()


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:] or ["tcp://127.0.0.1:1234"])
