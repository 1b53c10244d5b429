"""Rooms: the runtime's own tests, run by another interpreter.

Place     tests/pythons; __main__.py and test_other_interpreters.py call it.
Not here  CPython's own tests (tests/stdlib, to be run there by hand); whole flows, which are about
          the two systems and the same on every version.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pythons.interpreters import ROOT, NotInstalled, clean_environment

if TYPE_CHECKING:
    from pythons.interpreters import Interpreter

__all__ = ["AT_ONCE", "ROOMS", "Report", "run_rooms"]

# Interpreters that run side by side: two cores are what a small machine has.
AT_ONCE = 2

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

# Eventlet itself is the same on each, and what we compare with it the same as here. The other loops
# and pollers repeat whole rooms, which no interpreter makes different.
LEFT_OUT = (
    "eventlet/test_oracle.py",
    "eventlet/test_programs.py",
    "core/test_loops.py",
    "core/test_pollers.py",
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
    command = [
        *(str(interpreter.python), "-m", "pytest", "-q", "-p", "no:cacheprovider"),
        *(f"tests/{room}" for room in ROOMS),
        *(f"--ignore=tests/{name}" for name in LEFT_OUT),
    ]
    child = subprocess.Popen(
        command,
        cwd=ROOT,
        env=clean_environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        output, _ = child.communicate(timeout=ROOMS_S_MAX)
        summary = (output.strip().splitlines() or ["printed nothing"])[-1]
    except subprocess.TimeoutExpired:
        _end(child)
        output, _ = child.communicate()
        summary = f"did not end within {ROOMS_S_MAX} s"
    finally:
        _end(child)
    return Report(interpreter, child.returncode == 0, summary, output, time.monotonic() - started)


def _end(child: subprocess.Popen[str]) -> None:
    # With what its tests have started.
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()
