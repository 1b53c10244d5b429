"""What do rules cost, by their number?

Question  With 1 k, 100 k and 1 M hosts and two workers: seconds from the start to serving, bytes of
          memory per rule in each worker, milliseconds until a change is in force in every worker,
          nanoseconds to find a host's rule.
Method    `verdant balancer` gets all rules by one PUT and is started anew; memory is what a worker
          has more than one without rules (VmRSS), by rules; a change is a PUT of one host on a
          connection that is kept, from the first byte sent to the 200. Rules are on tmpfs, so that
          the disk is not in the figure, and once more in the current directory. Lookups are timed
          in a table of its own: hosts asked for the first time, and again.
Changes our mind  a start above 8 s or more than 700 bytes a rule at a million, a change's p99
          above 5 ms without the disk, a lookup that grows with the table.

    rules_at_scale.py [HOSTS...]
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from http.client import HTTPConnection
from pathlib import Path
from typing import TYPE_CHECKING

from harness import free_port

from verdant.balancer.routing import RuleTable

if TYPE_CHECKING:
    from collections.abc import Iterator

SIZES = [1_000, 100_000, 1_000_000]
CHANGES = 500
WORKERS = 2
VERDANT = [sys.executable, "-m", "verdant.cli.main"]


def host(number: int) -> str:
    return f"site-{number}.example.com"


def rule(number: int) -> list[object]:
    backend = [f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}", 8000]
    return ["proxy", {"backends": [backend]}, False]


class Balancer:
    """A balancer's processes, with their rules in `directory`."""

    def __init__(self, directory: Path) -> None:
        self.management = free_port()
        self._note = directory / "state" / "supervisor.json"
        self._config = directory / "verdant.toml"
        self._config.write_text(
            f'[balancer]\nbind = ["127.0.0.1:{free_port()}"]\nworkers = {WORKERS}\n'
            f'management = "127.0.0.1:{self.management}"\nstate_dir = "{directory}/state"\n'
        )

    @contextlib.contextmanager
    def running(self) -> Iterator[float]:
        """Gives the seconds until it served."""
        began = time.monotonic()
        process = subprocess.Popen([*VERDANT, "balancer", "-c", str(self._config)])
        try:
            while not self._note.exists():
                if process.poll() is not None:
                    raise SystemExit("the balancer did not start")
                time.sleep(0.01)
            yield time.monotonic() - began
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)

    def worker_bytes(self) -> float:
        pids = json.loads(self._note.read_bytes())["workers"].values()
        sizes = []
        for pid in pids:
            fields = dict(
                line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines()
            )
            sizes.append(int(fields["VmRSS"].split()[0]) * 1024)
        return statistics.mean(sizes)

    def put(self, connection: HTTPConnection, path: str, body: bytes) -> float:
        began = time.perf_counter()
        connection.request("PUT", path, body)
        response = connection.getresponse()
        answer = response.read()
        if response.status != 200:
            raise SystemExit(f"{path}: {answer.decode()}")
        return time.perf_counter() - began


def changes_ms(balancer: Balancer, size: int) -> dict[str, float]:
    dice = random.Random(size)
    connection = HTTPConnection("127.0.0.1", balancer.management, timeout=60)
    spent = []
    for number in range(CHANGES):
        body = json.dumps(rule(number + 7_000_000)).encode()
        spent.append(balancer.put(connection, f"/hostname/{host(dice.randrange(size))}/", body))
    connection.close()
    spent.sort()
    return {"p50": spent[CHANGES // 2] * 1e3, "p99": spent[CHANGES * 99 // 100] * 1e3}


def lookups_ns(size: int) -> dict[str, float]:
    table = RuleTable()
    table.load({host(n).encode(): json.dumps(rule(n)).encode() for n in range(size)})
    dice = random.Random(1)
    asked = [host(dice.randrange(size)).encode() for _ in range(1000)]
    figures = {}
    for kind in ("first", "again"):
        turns = 1 if kind == "first" else 100
        began = time.perf_counter()
        for _ in range(turns):
            for name in asked:
                table.resolve(name)
        figures[kind] = (time.perf_counter() - began) / turns / len(asked) * 1e9
    missing = [b"no.such." + name for name in asked]
    began = time.perf_counter()
    for _ in range(100):
        for name in missing:
            table.resolve(name)
    figures["unknown"] = (time.perf_counter() - began) / 100 / len(asked) * 1e9
    return figures


def measure(size: int, empty_bytes: float) -> dict[str, float]:
    figures: dict[str, float] = {}
    shared = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=shared) as name:
        balancer = Balancer(Path(name))
        body = json.dumps({host(n): rule(n) for n in range(size)}).encode()
        with balancer.running():
            connection = HTTPConnection("127.0.0.1", balancer.management, timeout=600)
            figures["all anew, s"] = balancer.put(connection, "/hostname/", body)
            connection.close()
        with balancer.running() as started_s:
            figures["start, s"] = started_s
            figures["bytes a rule"] = (balancer.worker_bytes() - empty_bytes) / size
            for key, value in changes_ms(balancer, size).items():
                figures[f"change {key}, ms"] = value
    with tempfile.TemporaryDirectory(dir=".") as name:
        balancer = Balancer(Path(name))
        with balancer.running():
            for key, value in changes_ms(balancer, size).items():
                figures[f"change {key} with disk, ms"] = value
    for key, value in lookups_ns(size).items():
        figures[f"lookup {key}, ns"] = value
    return figures


def main() -> None:
    sizes = [int(text) for text in sys.argv[1:]] or SIZES
    with tempfile.TemporaryDirectory() as name:
        empty = Balancer(Path(name))
        with empty.running():
            empty_bytes = empty.worker_bytes()
    found = {}
    for size in sizes:
        print(f"{size} hosts …", file=sys.stderr)
        found[size] = measure(size, empty_bytes)
    print("\nwhat do rules cost\n")
    print(f"{'':<28}" + "".join(f"{size:>12,}" for size in sizes))
    for name in found[sizes[0]]:
        print(f"{name:<28}" + "".join(f"{found[size][name]:>12.2f}" for size in sizes))
    print()
    print(
        json.dumps(
            {
                "question": "what do rules cost",
                "python": platform.python_version(),
                "cpus": os.cpu_count(),
                "figures": {
                    str(size): {name: round(value, 3) for name, value in figures.items()}
                    for size, figures in found.items()
                },
            }
        )
    )


if __name__ == "__main__":
    main()
