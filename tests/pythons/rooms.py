"""Rooms: the runtime's own tests, run by another interpreter.

Place     tests/pythons; __main__.py and test_other_interpreters.py call it.
Not here  CPython's own tests (tests/stdlib, to be run there by hand); whole flows, which are about
          the two systems and the same on every version.
"""

from __future__ import annotations

import subprocess
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pythons.interpreters import ROOT, NotInstalled, clean_environment

if TYPE_CHECKING:
    from pythons.interpreters import Interpreter

__all__ = ["ROOMS", "Report", "run_rooms"]

# What stands on the interpreter and its standard library: the hub, the twins, the patch, asyncio,
# and the protocols that are built on their sockets.
ROOMS = (
    "core",
    "sync",
    "green",
    "aio",
    "patcher",
    "isolated",
    "eventlet",
    "net",
    "http",
    "wsgi",
    "zmq",
)

# Two minutes where nothing else runs; a test that hangs must end all the same.
ROOMS_S_MAX = 900


@dataclass(frozen=True, slots=True)
class Report:
    """How one interpreter did."""

    interpreter: Interpreter
    passed: bool
    # pytest's last line, or why there was none.
    summary: str
    output: str
    seconds: float
    installed: bool = True


def run_rooms(interpreter: Interpreter) -> Report:
    """Run the rooms with `interpreter`, in its own environment. Blocks, for minutes."""
    started = time.monotonic()
    try:
        interpreter.prepare()
    except NotInstalled as exc:
        took_s = time.monotonic() - started
        return Report(interpreter, False, "could not be installed", str(exc), took_s, False)
    try:
        done = subprocess.run(
            [
                *(str(interpreter.python), "-m", "pytest", "-q", "-p", "no:cacheprovider"),
                *(f"tests/{room}" for room in ROOMS),
            ],
            cwd=ROOT,
            env=clean_environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=ROOMS_S_MAX,
            check=False,
        )
    except subprocess.TimeoutExpired as exc:
        output = exc.output.decode(errors="replace") if isinstance(exc.output, bytes) else ""
        return Report(
            interpreter,
            False,
            f"did not end within {ROOMS_S_MAX} s",
            output,
            time.monotonic() - started,
        )
    lines = done.stdout.strip().splitlines() or ["printed nothing"]
    return Report(
        interpreter, done.returncode == 0, lines[-1], done.stdout, time.monotonic() - started
    )
