"""Supervisor note: a small file that tells other processes of this machine how a balancer runs.

Place     balancer; beside the rules. `verdant balancer restart` finds by it whom to signal, and
          hears what came of it.
Promise   whoever reads it finds a whole note or none. One that outlives a killed supervisor is
          told apart: nobody holds the state's lock then.
Not here  rules (state.py).
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import msgspec

__all__ = ["NOTE_NAME", "Note", "SupervisorNote", "read_note"]

NOTE_NAME = "supervisor.json"


class Note(msgspec.Struct, frozen=True):
    """What a note says."""

    pid: int
    # Goes up by one at each start of all workers.
    generation: int
    # Process ids by the worker's number.
    workers: dict[int, int]
    # How many restarts were asked for, and what was wrong with the last one; "" is nothing.
    restarts: int = 0
    failure: str = ""


class SupervisorNote:
    """The note of this process, in the state directory."""

    def __init__(self, directory: str | Path) -> None:
        self._path = Path(directory) / NOTE_NAME
        self._restarts = -1
        self._failure = ""

    def write(self, generation: int, workers: dict[int, int], failure: str | None) -> None:
        """Replace the note. `failure`: of a restart that has just ended; None when none has.

        A disk that takes no note takes no rules either, and says so there.
        """
        if failure is not None:
            self._restarts += 1
            self._failure = failure
        note = Note(os.getpid(), generation, workers, self._restarts, self._failure)
        temporary = self._path.with_name(NOTE_NAME + ".tmp")
        with contextlib.suppress(OSError):
            temporary.write_bytes(msgspec.json.encode(note) + b"\n")
            temporary.replace(self._path)

    def remove(self) -> None:
        """The balancer ends."""
        with contextlib.suppress(OSError):
            self._path.unlink()


def read_note(directory: str | Path) -> Note | None:
    """The note of the balancer that has this state directory; None when there is none."""
    try:
        return msgspec.json.decode((Path(directory) / NOTE_NAME).read_bytes(), type=Note)
    except (OSError, msgspec.MsgspecError):
        return None
