"""What do the runtime's primitives cost?

Question  CPU µs per yield among a hundred, per spawn with its end, per Timeout set and lifted, per
          item through a queue of one; bytes of resident memory per green thread that is parked.
Method    each question in a process of its own, in turns over the runtimes, for several rounds; the
          median counts. asyncio on uvloop answers with tasks.
Changes our mind  a yield above 0.5 or a spawn above 0.6 of gevent's, or more bytes than its.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from harness import compare

PROGRAMS = Path(__file__).parent / "programs"
ROUNDS = 3
RUNTIMES = ("verdant", "gevent", "eventlet", "uvloop")
QUESTIONS = {
    "yield": "yield, µs",
    "spawn": "spawn and end, µs",
    "parked": "bytes per parked thread",
    "timers": "Timeout set and lifted, µs",
    "queue": "item through Queue(1), µs",
}


def ask(runtime: str, question: str) -> float:
    program = ["coroutines.py"] if runtime == "uvloop" else ["green.py", runtime]
    command = [sys.executable, str(PROGRAMS / program[0]), *program[1:], question]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
    return float(done.stdout)


def main() -> None:
    compare(
        "what do the runtime's primitives cost",
        QUESTIONS,
        RUNTIMES,
        ask,
        rounds=ROUNDS,
        against="gevent",
    )


if __name__ == "__main__":
    main()
