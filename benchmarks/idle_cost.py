"""What do 10,000 open idle connections cost?

Question  resident bytes per connection that was answered once and stays open; share of one core
          that the server uses meanwhile; CPU µs per request of 64 busy ones beside them, and how
          that compares to the same without them.
Method    the servers of request_cost.py. RSS before and after from /proc/PID/statm, CPU from
          /proc/PID/stat over 5 s in which nobody sends; then wrk, as in harness.py. In turns over
          the servers, three rounds, medians.
Changes our mind  more bytes than gevent's, an idle share above 1 %, or busy requests that pay for
          the idle ones.
"""

from __future__ import annotations

import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

from harness import MEASURED_S, TICKS_PER_S, Candidate, cpu_ticks, free_port, need, wait_for, wrk

SERVERS = Path(__file__).parent / "servers"
PROGRAMS = Path(__file__).parent / "programs"
RUNTIMES = ("verdant", "gevent", "eventlet", "uvloop")
CONNECTIONS = 10_000
IDLE_S = 5
ROUNDS = 3
PAGE_BYTES = os.sysconf("SC_PAGESIZE")
COLUMNS = {
    "bytes": "bytes/connection",
    "idle": "idle, % of a core",
    "alone": "µs/request alone",
    "beside": "beside the idle",
}


def resident_bytes(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE_BYTES


def us_per_request(pid: int, candidate: Candidate) -> float:
    before = cpu_ticks(pid)
    requests = wrk(candidate, MEASURED_S)
    return (cpu_ticks(pid) - before) / TICKS_PER_S / requests * 1e6


def measure(runtime: str) -> dict[str, float]:
    port = free_port()
    candidate = Candidate(
        runtime, [sys.executable, str(SERVERS / f"hello_{runtime}.py"), str(port)], port
    )
    server = subprocess.Popen(
        candidate.command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    idlers = None
    try:
        wait_for(port, server)
        wrk(candidate, 1)
        found = {"alone": us_per_request(server.pid, candidate)}
        before = resident_bytes(server.pid)
        idlers = subprocess.Popen(
            [sys.executable, str(PROGRAMS / "idlers.py"), str(port), str(CONNECTIONS)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert idlers.stdout is not None
        if idlers.stdout.readline() != b"ready\n":
            raise SystemExit(f"{runtime} did not hold {CONNECTIONS} connections")
        found["bytes"] = (resident_bytes(server.pid) - before) / CONNECTIONS
        ticks = cpu_ticks(server.pid)
        time.sleep(IDLE_S)
        found["idle"] = (cpu_ticks(server.pid) - ticks) / TICKS_PER_S / IDLE_S * 100
        found["beside"] = us_per_request(server.pid, candidate)
        return found
    finally:
        for process in (idlers, server):
            if process is not None:
                process.kill()
                process.communicate()


def main() -> None:
    need("wrk")
    # The servers inherit it.
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if hard != resource.RLIM_INFINITY and hard < CONNECTIONS + 200:
        raise SystemExit(
            f"this benchmark needs {CONNECTIONS + 200} open files; `ulimit -Hn` says {hard}"
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (CONNECTIONS + 200, hard))
    rounds: dict[str, list[dict[str, float]]] = {runtime: [] for runtime in RUNTIMES}
    for number in range(ROUNDS):
        for runtime, found in rounds.items():
            print(f"round {number + 1}/{ROUNDS}: {runtime} …", file=sys.stderr)
            found.append(measure(runtime))
    medians = {
        runtime: {key: statistics.median(each[key] for each in found) for key in COLUMNS}
        for runtime, found in rounds.items()
    }
    print(f"\nwhat do {CONNECTIONS:,} open idle connections cost\n")
    print(f"{'server':<12}" + "".join(f"{title:>20}" for title in COLUMNS.values()))
    for runtime, figures in medians.items():
        print(f"{runtime:<12}" + "".join(f"{figures[key]:>20.2f}" for key in COLUMNS))
    print()
    print(
        json.dumps(
            {
                "question": f"what do {CONNECTIONS} open idle connections cost",
                "python": platform.python_version(),
                "cpus": os.cpu_count(),
                "medians": {r: {k: round(v, 2) for k, v in f.items()} for r, f in medians.items()},
            }
        )
    )


if __name__ == "__main__":
    main()
