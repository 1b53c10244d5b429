"""Restart: ask the balancer of a state directory to replace its workers, and hear what came of it.

Place     cli; a signal there, a small file back (balancer/supervisor_note.py).
"""

from __future__ import annotations

import fcntl
import os
import signal
from pathlib import Path

from verdant.balancer import read_note
from verdant.core import monotonic, sleep
from verdant.errors import VerdantError

__all__ = ["restart_workers"]

# A worker gets a minute to serve; beyond that the supervisor has given up and said so.
ANSWER_S_MAX = 75.0
LOOK_S = 0.05


def restart_workers(state_dir: str) -> int:
    """Returns how many workers serve now. Parks. Raises VerdantError, with the reason."""
    before = read_note(state_dir)
    missing = f"no balancer runs with its rules in {state_dir}"
    if before is None or not _in_use(Path(state_dir) / "state.lock"):
        raise VerdantError(f"{missing}: start it (`verdant balancer`), or name its configuration")
    try:
        os.kill(before.pid, signal.SIGHUP)
    except ProcessLookupError as exc:
        raise VerdantError(f"{missing}: process {before.pid} has ended") from exc
    except PermissionError as exc:
        raise VerdantError(
            f"process {before.pid} may not be signalled by user {os.geteuid()}: "
            "be its user, or root"
        ) from exc
    deadline = monotonic() + ANSWER_S_MAX
    while monotonic() < deadline:
        sleep(LOOK_S)
        now = read_note(state_dir)
        if now is None:
            raise VerdantError(f"the balancer in process {before.pid} has ended")
        if now.restarts > before.restarts:
            if now.failure:
                raise VerdantError(f"the workers are as before: {now.failure}")
            return len(now.workers)
    raise VerdantError(f"process {before.pid} does not answer; see its log")


def _in_use(lock: Path) -> bool:
    # The note of a balancer that was killed may name a process that is somebody else's by now.
    try:
        with lock.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False
