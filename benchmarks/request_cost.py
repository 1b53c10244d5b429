"""What does a request cost on the runtime?

Question  CPU µs per keep-alive request of the smallest possible server: receive, send a constant.
Method    harness.py; the same two calls on every runtime, no parsing anywhere, so the figure is
          the price of the scheduler and its sockets alone.
Changes our mind  a ratio above 0.80 to gevent: then the hub's own way of waiting is not worth its
          upkeep.
"""

from __future__ import annotations

import sys
from pathlib import Path

from harness import Candidate, free_port, run

SERVERS = Path(__file__).parent / "servers"


def main() -> None:
    candidates = []
    for name in ("verdant", "gevent", "eventlet", "uvloop"):
        port = free_port()
        command = [sys.executable, str(SERVERS / f"hello_{name}.py"), str(port)]
        candidates.append(Candidate(name, command, port))
    run("what does a request cost on the runtime (keep-alive hello)", candidates, "gevent")


if __name__ == "__main__":
    main()
