"""A process per program: patching changes the whole process, so none is shared with pytest."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

# Long enough for the slowest machine; a program that blocks its hub never ends, and fails here.
PROGRAM_S = 60

PROLOGUE = """
from verdant.patcher import monkey_patch
monkey_patch()
from verdant import Timeout, sleep, spawn

def beside(call, cause):
    '''Run call(), which ends only once another green thread has had its turns and cause()d it.'''
    turns = []
    def others():
        for turn in range(10):
            turns.append(turn)
            sleep(0)
        cause()
    thread = spawn(others)
    result = call()
    thread.wait()
    assert len(turns) == 10
    return result
"""


@pytest.fixture
def run_program() -> Callable[..., str]:
    """Run Python text in a process of its own and return what it printed."""

    def run(text: str, *arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "-X", "faulthandler", "-W", "error", "-c", text, *arguments],
            capture_output=True,
            text=True,
            timeout=PROGRAM_S,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert done.stderr == "", done.stderr
        return done.stdout

    return run


@pytest.fixture
def run_patched(run_program: Callable[..., str]) -> Callable[..., str]:
    """As `run_program`, with the stdlib patched before the text begins."""
    return lambda text, *arguments: run_program(PROLOGUE + text, *arguments)
