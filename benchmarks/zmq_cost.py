"""What does a ZeroMQ message cost?

Question  CPU µs of one process per REQ/REP round trip, and per message of PUSH -> PULL with one
          receiver and with a hundred (a socket and a green thread each), libzmq's I/O thread
          included.
Method    64-byte messages over TCP on loopback; the peer is plain pyzmq in a process of its own and
          not counted. A process per answer, in turns over the runtimes, for several rounds; the
          median counts. `plain` is blocking pyzmq in native threads, the floor of what Python can
          do; the others are pyzmq's own asyncio (on uvloop) and gevent flavours.
Changes our mind  more than 1.15 of plain, or more than any peer.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from harness import compare

PROGRAM = Path(__file__).parent / "programs/messages.py"
ROUNDS = 3
RUNTIMES = ("plain", "verdant", "gevent", "uvloop")
QUESTIONS = {
    "reqrep": "REQ/REP round trip, µs",
    "pull1": "PUSH -> PULL, µs",
    "pull100": "PUSH -> 100 PULL, µs",
}


def ask(runtime: str, question: str) -> float:
    command = [sys.executable, str(PROGRAM), runtime, question]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
    return float(done.stdout)


def main() -> None:
    compare(
        "what does a ZeroMQ message cost", QUESTIONS, RUNTIMES, ask, rounds=ROUNDS, against="plain"
    )


if __name__ == "__main__":
    main()
