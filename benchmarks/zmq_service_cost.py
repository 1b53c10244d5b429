"""What does a call cost a ZeroMQ service?

Question  CPU µs of the server process per call: `zmq_loop`, against the same server written by hand
          on zmq.green with gevent, on zmq.asyncio with uvloop (a green thread or task per call
          each), and against plain pyzmq that answers one call after the other. ZeroMQ's own native
          thread is counted with each.
Method    plain pyzmq in another process keeps 1 or 100 calls of 8 bytes under way on one DEALER;
          ticks of user and system time from /proc, in turns over the servers for several rounds;
          the median counts.
Changes our mind  a cost above that of zmq.green or zmq.asyncio.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
from pathlib import Path

from harness import TICKS_PER_S, cpu_ticks, free_port, wait_for

HERE = Path(__file__).parent
ROUNDS = 3
SERVERS = ("verdant", "gevent", "asyncio", "blocking")
# Calls under way, and how many calls make a measurement of a second or more.
LOADS = {1: 10_000, 100: 40_000}
WARM_UP_CALLS = 1_000


def load(port: int, calls: int, in_flight: int) -> None:
    subprocess.run(
        [sys.executable, HERE / "programs/zmq_load.py", *map(str, (port, calls, in_flight))],
        check=True,
        timeout=300,
    )


def measure(name: str, in_flight: int, calls: int) -> float:
    port = free_port()
    server = subprocess.Popen([sys.executable, HERE / f"servers/zmq_{name}.py", str(port)])
    try:
        wait_for(port, server)
        load(port, WARM_UP_CALLS, in_flight)
        before = cpu_ticks(server.pid)
        load(port, calls, in_flight)
        return (cpu_ticks(server.pid) - before) / TICKS_PER_S / calls * 1e6
    finally:
        server.kill()
        server.wait()


def main() -> None:
    figures: dict[int, dict[str, list[float]]] = {n: {s: [] for s in SERVERS} for n in LOADS}
    for number in range(ROUNDS):
        for in_flight, found in figures.items():
            for name, values in found.items():
                print(f"round {number + 1}/{ROUNDS}: {name}, {in_flight} …", file=sys.stderr)
                values.append(measure(name, in_flight, LOADS[in_flight]))
    medians = {
        in_flight: {name: statistics.median(values) for name, values in found.items()}
        for in_flight, found in figures.items()
    }
    print("\nwhat does a call cost a ZeroMQ service, CPU µs\n")
    print(
        f"{'calls under way':<18}"
        + "".join(f"{name:>12}" for name in SERVERS)
        + f"{'x gevent':>12}"
    )
    for in_flight, found in medians.items():
        row = "".join(f"{found[name]:>12.2f}" for name in SERVERS)
        print(f"{in_flight:<18}{row}{found['verdant'] / found['gevent']:>12.2f}")
    print()
    print(
        json.dumps(
            {
                "question": "what does a call cost a ZeroMQ service",
                "python": platform.python_version(),
                "cpus": os.cpu_count(),
                "cpu_us_per_call": {
                    str(n): {s: round(v, 2) for s, v in found.items()}
                    for n, found in medians.items()
                },
            }
        )
    )


if __name__ == "__main__":
    main()
