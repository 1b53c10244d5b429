"""Programs of their own, for what pytest's process cannot show: signals, forks, deadlocks."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap

# Long enough for the slowest machine; a program that hangs never ends, and fails here.
PROGRAM_S = 60


def run(text: str, *arguments: str, code: int = 0, **environment: str) -> str:
    """Run Python text in a process of its own and return what it printed; stderr must be empty."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(text), *arguments],
        capture_output=True,
        text=True,
        timeout=PROGRAM_S,
        check=False,
        # Buffered, so that what one process prints comes in one piece.
        env={**os.environ, "PYTHONUNBUFFERED": "", **environment},
    )
    assert done.returncode == code, done.stdout + done.stderr
    assert done.stderr == "", done.stderr
    return done.stdout
