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

import json
import os
import platform
import statistics
import subprocess
import sys
from pathlib import Path

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
    figures: dict[str, dict[str, list[float]]] = {q: {r: [] for r in RUNTIMES} for q in QUESTIONS}
    for number in range(ROUNDS):
        for question, answers in figures.items():
            print(f"round {number + 1}/{ROUNDS}: {question} …", file=sys.stderr)
            for runtime, found in answers.items():
                found.append(ask(runtime, question))
    medians = {
        question: {runtime: statistics.median(found) for runtime, found in answers.items()}
        for question, answers in figures.items()
    }
    print("\nwhat does a ZeroMQ message cost\n")
    heads = "".join(f"{runtime:>12}" for runtime in RUNTIMES)
    print(f"{'':<28}{heads}{'x plain':>12}")
    for question, answers in medians.items():
        row = "".join(f"{answers[runtime]:>12.2f}" for runtime in RUNTIMES)
        print(f"{QUESTIONS[question]:<28}{row}{answers['verdant'] / answers['plain']:>12.2f}")
    print()
    print(
        json.dumps(
            {
                "question": "what does a ZeroMQ message cost",
                "python": platform.python_version(),
                "cpus": os.cpu_count(),
                "medians": {q: {r: round(v, 3) for r, v in a.items()} for q, a in medians.items()},
            }
        )
    )


if __name__ == "__main__":
    main()
