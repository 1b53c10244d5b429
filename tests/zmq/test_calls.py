"""The accelerator and the Python beneath it do the same."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from verdant.zmq.calls import ACCELERATED

CHOICE = "from verdant.zmq import calls; print(calls.ACCELERATED)"


def accelerated(pure: str) -> bool:
    done = subprocess.run(
        [sys.executable, "-c", CHOICE],
        env={**os.environ, "VERDANT_PURE": pure},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return done.stdout.strip() == "True"


def test_the_environment_can_do_without() -> None:
    assert not accelerated("1")


def test_sockets_pass_their_tests_with_the_other_one_too() -> None:
    other = "1" if ACCELERATED else "0"
    if accelerated(other) is ACCELERATED:
        pytest.skip("the accelerator was not built, so there is no other one")
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"),
            *("tests/zmq/test_socket.py", "tests/zmq/test_readiness.py"),
        ],
        env={**os.environ, "VERDANT_PURE": other},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:]
