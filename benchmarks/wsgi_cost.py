"""What does a WSGI request cost?

Question  CPU µs per keep-alive request of the smallest WSGI application: its environ, one header
          field, one short body with its length; no access log anywhere.
Method    harness.py; the same application under each server. wrk sends one head over and over, and
          Verdant recognises a client that repeats itself (http/connection.py): services that call
          each other do that, browsers do not. So "verdant, varied" serves the same with that
          recognition defeated: the application forgets what the connection remembers.
Changes our mind  a ratio above 0.60 to gevent's pywsgi for either: then the environ is made too
          slowly.
"""

from __future__ import annotations

import sys
from pathlib import Path

from harness import Candidate, free_port, run

SERVERS = Path(__file__).parent / "servers"


def main() -> None:
    candidates = []
    for name, arguments in (
        ("verdant", []),
        ("verdant, varied", ["varied"]),
        ("gevent", []),
        ("eventlet", []),
    ):
        port = free_port()
        program = SERVERS / f"wsgi_{name.split(',')[0]}.py"
        command = [sys.executable, str(program), str(port), *arguments]
        candidates.append(Candidate(name, command, port))
    run("what does a WSGI request cost (keep-alive hello)", candidates, "gevent")


if __name__ == "__main__":
    main()
