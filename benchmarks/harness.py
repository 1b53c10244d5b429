"""Harness: CPU time per request of one server process, under wrk.

Method: start the server, warm it up for a second, let `wrk` drive it over keep-alive connections,
and divide the ticks of user and system time that the kernel booked for the server and its children
(/proc/PID/stat) by the requests that wrk counted. Candidates take turns for several rounds and the
median counts. With two cores wrk and the server share the machine, so requests per second mislead;
CPU per request repeats within some 10 %.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import re
import shutil
import socket
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

ROUNDS = 3
WARM_UP_S = 1
MEASURED_S = 4
CONNECTIONS = 64
TICKS_PER_S = os.sysconf("SC_CLK_TCK")


@dataclass
class Candidate:
    """A server to measure: how to start it, and what it costs."""

    name: str
    command: list[str]
    port: int
    host: str = "127.0.0.1"
    figures_us: list[float] = field(default_factory=list)

    @property
    def median_us(self) -> float:
        return statistics.median(self.figures_us)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def children_of(pid: int) -> list[int]:
    path = Path(f"/proc/{pid}/task/{pid}/children")
    found = [int(child) for child in path.read_text().split()]
    return found + [deeper for child in found for deeper in children_of(child)]


def cpu_ticks(pid: int) -> int:
    total = 0
    for each in [pid, *children_of(pid)]:
        fields = Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split()
        total += int(fields[11]) + int(fields[12])
    return total


def wait_for(port: int, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 15
    while time.monotonic() < deadline:
        if server.poll() is not None:
            raise SystemExit(f"{server.args} ended with {server.returncode} before it listened")
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.2):
            return
        time.sleep(0.05)
    raise SystemExit(f"{server.args} does not listen on port {port}")


def wrk(candidate: Candidate, seconds: int) -> int:
    out = subprocess.run(
        ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "-H", f"Host: {candidate.host}",
         f"http://127.0.0.1:{candidate.port}/"],
        check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    if "Non-2xx" in out:
        raise SystemExit(f"{candidate.name} answered with errors:\n{out}")
    found = re.search(r"(\d+) requests in", out)
    if found is None:
        raise SystemExit(f"wrk said something unexpected:\n{out}")
    return int(found[1])


def measure(candidate: Candidate) -> float:
    server = subprocess.Popen(
        candidate.command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        wait_for(candidate.port, server)
        wrk(candidate, WARM_UP_S)
        before = cpu_ticks(server.pid)
        requests = wrk(candidate, MEASURED_S)
        return (cpu_ticks(server.pid) - before) / TICKS_PER_S / requests * 1e6
    finally:
        server.terminate()
        try:
            server.wait(10)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def need(*programs: str) -> None:
    for program in programs:
        if shutil.which(program) is None:
            raise SystemExit(f"this benchmark needs {program}: install it (`make test-deps`)")


def run(question: str, candidates: list[Candidate], against: str) -> None:
    """Measure all, in turns; print a table and a JSON line. Ratios are to the one named."""
    need("wrk")
    for number in range(ROUNDS):
        for candidate in candidates:
            print(f"round {number + 1}/{ROUNDS}: {candidate.name} …", file=sys.stderr)
            candidate.figures_us.append(measure(candidate))
    base = next((c.median_us for c in candidates if c.name == against), None)
    print(f"\n{question}\n")
    print(f"{'server':<18}{'CPU µs/request':>16}{'min':>8}{'max':>8}{'x ' + against:>12}")
    for candidate in candidates:
        ratio = f"{candidate.median_us / base:.2f}" if base else "-"
        print(
            f"{candidate.name:<18}{candidate.median_us:>16.2f}{min(candidate.figures_us):>8.2f}"
            f"{max(candidate.figures_us):>8.2f}{ratio:>12}"
        )
    print()
    print(
        json.dumps(
            {
                "question": question,
                "python": platform.python_version(),
                "cpus": os.cpu_count(),
                "cpu_us_per_request": {c.name: round(c.median_us, 2) for c in candidates},
            }
        )
    )


def compare(
    question: str,
    titles: dict[str, str],
    runtimes: Sequence[str],
    ask: Callable[[str, str], float],
    *,
    rounds: int,
    against: str,
) -> None:
    """Ask each of `titles` of each runtime, in turns; print the medians and a JSON line.

    `ask(runtime, name)` gives one figure. The last column is the ratio of verdant to `against`.
    """
    figures: dict[str, dict[str, list[float]]] = {n: {r: [] for r in runtimes} for n in titles}
    for number in range(rounds):
        for name, answers in figures.items():
            print(f"round {number + 1}/{rounds}: {name} …", file=sys.stderr)
            for runtime, found in answers.items():
                found.append(ask(runtime, name))
    medians = {
        name: {runtime: statistics.median(found) for runtime, found in answers.items()}
        for name, answers in figures.items()
    }
    print(f"\n{question}\n")
    heads = "".join(f"{runtime:>12}" for runtime in runtimes)
    print(f"{'':<30}{heads}{'x ' + against:>12}")
    for name, answers in medians.items():
        row = "".join(f"{answers[runtime]:>12.2f}" for runtime in runtimes)
        print(f"{titles[name]:<30}{row}{answers['verdant'] / answers[against]:>12.2f}")
    print()
    print(
        json.dumps(
            {
                "question": question,
                "python": platform.python_version(),
                "cpus": os.cpu_count(),
                "medians": {n: {r: round(v, 3) for r, v in a.items()} for n, a in medians.items()},
            }
        )
    )
