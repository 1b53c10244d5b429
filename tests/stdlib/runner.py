"""Runner: run test modules in child processes, past whatever hangs or dies.

Place     tests/stdlib; __main__.py and test_rows.py call it, child.py is what it runs.
Promise   every test that child.py planned has one outcome. A test that makes no progress for
          HANG_S seconds is killed with all the processes it started, counted as hung, and the
          rest goes on in a new process.
Not here  what is expected of a test (judgement.py).
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import verdant

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["HANG_S", "PASSED", "run_modules"]

# No test of these modules is meant to take as long as this, and a machine with other work to do
# makes no test this much slower.
HANG_S = 15.0
# How often the notes are looked at: often enough not to slow a run of thousands down.
LOOK_S = 0.05

# Where "verdant" is imported from: its own folder's parent, which the child needs in its path.
_SOURCE = Path(verdant.__file__).parent.parent
_CHILD = Path(__file__).with_name("child.py")

# A folder of modules to test that are not CPython's: the runner's own tests have one.
MODULES: Path | None = None

PASSED = "passed"
HUNG = "hung"
DIED = "died"


class _Notes:
    """What the children of one row have told so far."""

    def __init__(self) -> None:
        # An outcome is PASSED, or the reason why not.
        self.outcomes: dict[str, str] = {}
        self.plan: list[str] = []
        self.running: str | None = None
        self.ended = False

    def begin(self) -> None:
        self.plan = []
        self.running = None
        self.ended = False

    def take(self, line: str) -> None:
        event = json.loads(line)
        match event["event"]:
            case "plan":
                self.plan = event["tests"]
            case "start":
                self.running = event["test"]
            case "pass":
                self.outcomes.setdefault(event["test"], PASSED)
                self.running = None
            case "fail":
                self.outcomes[event["test"]] = "failed: " + event["why"]
            case "skip":
                self.outcomes.setdefault(event["test"], "skipped: " + event["why"])
            case "end":
                self.ended = True

    def blame(self, why: str) -> bool:
        """Charge the test that was running, else the next one. False when there is none left."""
        if self.running is not None:
            self.outcomes.setdefault(self.running, why)
            return True
        for test in self.plan:
            if test not in self.outcomes:
                self.outcomes[test] = why
                return True
        return False


def run_modules(
    modules: Iterable[str],
    patch: str,
    only: Iterable[str] | None = None,
    *,
    log: Path | None = None,
) -> dict[str, str]:
    """Run the tests of `modules` under `patch`, and return each test's outcome by its name.

    `patch`: "none", "verdant", "gevent" or "eventlet". `only`: the names of the tests to run, all
    when left out. `log`: a file that what the tests print is added to. An outcome is "passed",
    "hung", or begins with "died", "failed:" or "skipped:".
    """
    notes = _Notes()
    with tempfile.TemporaryDirectory() as scratch, contextlib.ExitStack() as stack:
        output = stack.enter_context(log.open("ab")) if log else subprocess.DEVNULL
        while True:
            notes.begin()
            why = _run_child(modules, patch, only, notes, Path(scratch), output)
            if why is None or not notes.blame(why):
                return notes.outcomes


def _run_child(
    modules: Iterable[str],
    patch: str,
    only: Iterable[str] | None,
    notes: _Notes,
    scratch: Path,
    output: object,
) -> str | None:
    """Run one child to its end. Returns why it must be followed by another, if so."""
    done, told, only_file = scratch / "done", scratch / "notes", scratch / "only"
    done.write_text("\n".join(notes.outcomes), encoding="utf-8")
    if only is not None:
        only_file.write_text("\n".join(only), encoding="utf-8")
    told.write_bytes(b"")
    # Appended to by the child alone; a file and not a pipe, so that a note never waits for us.
    notes_fd = os.open(told, os.O_WRONLY | os.O_APPEND)
    home = scratch / "home"
    home.mkdir(exist_ok=True)
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PYTHON", "PYTEST", "COVERAGE"))
    }
    path = [str(_SOURCE), *([str(MODULES)] if MODULES else [])]
    environment.update(PYTHONPATH=os.pathsep.join(path), TMPDIR=str(home))
    child = subprocess.Popen(
        [
            *(sys.executable, "-P", "-X", "faulthandler", str(_CHILD), patch, str(notes_fd)),
            *(str(done), str(only_file) if only is not None else "", *modules),
        ],
        stdin=subprocess.DEVNULL,
        stdout=output,  # type: ignore[call-overload] # a file or a constant
        stderr=output,
        cwd=home,
        env=environment,
        pass_fds=[notes_fd],
        start_new_session=True,
    )
    os.close(notes_fd)
    try:
        with told.open(encoding="utf-8") as lines:
            return _follow(child, lines, notes)
    finally:
        # The whole session: what tests have left behind may hold ports and processors.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()


def _follow(child: subprocess.Popen[bytes], lines: Iterable[str], notes: _Notes) -> str | None:
    partial = ""
    moved = time.monotonic()
    while True:
        code = child.poll()
        before = moved
        for line in lines:
            # A line without its end is still being written.
            partial += line
            if partial.endswith("\n"):
                notes.take(partial)
                partial = ""
                moved = time.monotonic()
        if notes.ended:
            return None
        if code is not None:
            return f"{DIED} with exit status {code}"
        if moved == before and time.monotonic() - moved > HANG_S:
            return HUNG
        time.sleep(LOOK_S)
