"""What do the runtime's primitives cost?

Question  CPU µs per yield among a hundred, per spawn with its end, per Timeout set and lifted, per
          item through a queue of one; bytes of resident memory per green thread that is parked.
Method    each question in a process of its own, in turns over the runtimes, for several rounds; the
          median counts. asyncio on uvloop answers with tasks.
Changes our mind  a yield above 0.5 or a spawn above 0.6 of gevent's, or more bytes than its.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
from pathlib import Path

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
    print("\nwhat do the runtime's primitives cost\n")
    heads = "".join(f"{runtime:>12}" for runtime in RUNTIMES)
    print(f"{'':<30}{heads}{'x gevent':>12}")
    for question, answers in medians.items():
        row = "".join(f"{answers[runtime]:>12.2f}" for runtime in RUNTIMES)
        ratio = answers["verdant"] / answers["gevent"]
        print(f"{QUESTIONS[question]:<30}{row}{ratio:>12.2f}")
    print()
    print(
        json.dumps(
            {
                "question": "what do the runtime's primitives cost",
                "python": platform.python_version(),
                "cpus": os.cpu_count(),
                "medians": {q: {r: round(v, 3) for r, v in a.items()} for q, a in medians.items()},
            }
        )
    )


if __name__ == "__main__":
    main()
