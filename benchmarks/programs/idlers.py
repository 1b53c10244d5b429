"""Opens keep-alive connections, asks once on each, then leaves them open until its stdin ends.

python idlers.py PORT COUNT         prints "ready" when all have been answered
"""

from __future__ import annotations

import resource
import socket
import sys

REQUEST = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


def main(port: int, count: int) -> None:
    resource.setrlimit(
        resource.RLIMIT_NOFILE, (count + 100, resource.getrlimit(resource.RLIMIT_NOFILE)[1])
    )
    held = []
    for number in range(count):
        # Some thousands from each address, so that no range of ports runs out.
        source = (f"127.0.{1 + number // 5_000}.1", 0)
        sock = socket.create_connection(("127.0.0.1", port), 60, source)
        sock.sendall(REQUEST)
        if not sock.recv(4096):
            raise SystemExit(f"connection {number} was closed instead of answered")
        held.append(sock)
    print("ready", flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
