"""Both kinds of loops, the accelerator's and Python's, carry the runtime."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from verdant.core import loops

TESTS = Path(__file__).parents[1]

# What goes through the loops with every line; the rest would only be slow.
SUBJECTS = (
    "core/test_runtime.py",
    "core/test_leave.py",
    "core/test_watch.py",
    "core/test_hub.py",
    "green/test_socket.py",
    "sync/test_sync.py",
    "zmq/test_calls.py",
    "zmq/test_readiness.py",
    "zmq/test_socket.py",
)


def accelerated(**environment: str) -> bool:
    done = subprocess.run(
        [sys.executable, "-c", "from verdant.core import loops; print(loops.ACCELERATED)"],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stdout == "True\n"


def test_the_environment_switches_the_accelerator_off() -> None:
    assert not accelerated(VERDANT_PURE="1")


def test_the_runtime_passes_on_the_other_loops() -> None:
    other = "1" if loops.ACCELERATED else "0"
    if accelerated(VERDANT_PURE=other) is loops.ACCELERATED:
        pytest.skip("the accelerator is not built here: no C compiler when it was installed")
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"),
            *(str(TESTS / name) for name in SUBJECTS),
        ],
        env={**os.environ, "VERDANT_PURE": other},
        cwd=TESTS.parent,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-5000:]
    assert " passed" in done.stdout
