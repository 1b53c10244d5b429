"""What does a WSGI request cost?

Question  CPU µs per keep-alive request of the smallest WSGI application: its environ, one header
          field, one short body with its length; no access log anywhere.
Method    harness.py; the same application under each server.
Changes our mind  a ratio above 0.60 to gevent's pywsgi: then the environ is made too
          slowly.
"""

from __future__ import annotations

import sys
from pathlib import Path

from harness import Candidate, free_port, run

SERVERS = Path(__file__).parent / "servers"


def main() -> None:
    candidates = []
    for name in ("verdant", "gevent", "eventlet"):
        port = free_port()
        command = [sys.executable, str(SERVERS / f"wsgi_{name}.py"), str(port)]
        candidates.append(Candidate(name, command, port))
    run("what does a WSGI request cost (keep-alive hello)", candidates, "gevent")


if __name__ == "__main__":
    main()
