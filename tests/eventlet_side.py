"""The two sides of a move: programs and tests on `verdant.eventlet`, and on Eventlet itself.

Beside its room, not in it: a folder called `eventlet` cannot be imported from while there is a
package of that name.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["EVENTLET_IS_INSTALLED", "Program", "as_eventlet"]

PROGRAM_S = 60

_spec = find_spec("eventlet")
# The folder of tests is found under this name too, without an origin.
EVENTLET_IS_INSTALLED = _spec is not None and _spec.origin is not None


def as_eventlet(text: str) -> str:
    """A program or test on `verdant.eventlet` with its imports changed, and nothing else."""
    text = re.sub(r"^(\s*)from verdant import eventlet$", r"\1import eventlet", text, flags=re.M)
    return re.sub(r"^(\s*)(from|import) verdant\.eventlet", r"\1\2 eventlet", text, flags=re.M)


class Program:
    """A program that runs; what it prints can be read line by line."""

    def __init__(self, path: Path, arguments: tuple[str, ...]) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-W", "ignore", str(path), *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )

    def line(self) -> str:
        """The next line that it prints, "" at its end."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().rstrip("\n")

    def until(self, text: str) -> str:
        """Read lines up to the one that contains `text`, and return that."""
        seen = []
        while line := self.line():
            if text in line:
                return line
            seen.append(line)
        raise AssertionError(f"it ended without {text!r}: {seen}")

    def port(self) -> int:
        """The port that it says it listens on."""
        return int(self.until("listening ").split()[-1])

    def output(self) -> list[str]:
        """All the lines that it prints until its end, which must be a good one."""
        try:
            out, _ = self.process.communicate(timeout=PROGRAM_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            out, _ = self.process.communicate()
            raise AssertionError(f"it did not end: {out}") from None
        assert self.process.returncode == 0, out
        return str(out).splitlines()
