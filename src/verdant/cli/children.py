"""Children: the processes of a stack, started, watched, started again, stopped.

Place     cli; up.py says which.
Promise   a child that ends by itself is started again, slower each time; none outlives its parent.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

from verdant.core import GreenThread, sleep, spawn, watch_fd
from verdant.errors import TimedOut, VerdantError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Child", "ChildFailed"]

# Imports and opening a store with full logs; beyond it something is wrong.
READY_S_MAX = 30.0
RESTART_S_MIN = 0.2
RESTART_S_MAX = 5.0
# A child that ran this long did not fail at its start.
STEADY_S = 10.0


class ChildFailed(VerdantError):
    """Raised when a part of the stack cannot start. Its own words are on the terminal."""

    code = "cli-child-failed"


class Child:
    """One process: `verdant` with `arguments`, called `name` on the screen."""

    def __init__(self, name: str, arguments: Sequence[str]) -> None:
        self.name = name
        self._arguments = list(arguments)
        self._process: subprocess.Popen[bytes] | None = None
        self._watcher: GreenThread[None] | None = None
        self._stopping = False
        self.restarts = 0

    @property
    def pid(self) -> int | None:
        """Its process, while there is one."""
        return None if self._process is None else self._process.pid

    def start(self) -> None:
        """Start it and wait until it is ready. Parks. Raises `ChildFailed`."""
        self._launch()
        self._watcher = spawn(self._watch, name=f"watch {self.name}")

    def _launch(self) -> None:
        reading, writing = os.pipe()
        os.set_blocking(reading, False)
        try:
            command = [
                sys.executable, "-m", "verdant.cli.main", *self._arguments,
                "--parent-pid", str(os.getpid()), "--ready-fd", str(writing),
            ]  # fmt: skip
            self._process = subprocess.Popen(
                command, pass_fds=[writing], stdin=subprocess.DEVNULL, start_new_session=True
            )
        finally:
            os.close(writing)
        watch = watch_fd(reading)
        try:
            watch.wait_readable(READY_S_MAX)
            said = os.read(reading, 16)
        except TimedOut:
            said = b""
        finally:
            watch.close()
            os.close(reading)
        if not said:
            self._process.kill()
            self._process.wait()
            raise ChildFailed(f"{self.name} did not start: see above why")

    def _watch(self) -> None:
        pause_s = RESTART_S_MIN
        while True:
            started = time.monotonic()
            self._wait_for_end()
            if self._stopping:
                return
            if time.monotonic() - started > STEADY_S:
                pause_s = RESTART_S_MIN
            sleep(pause_s)
            pause_s = min(pause_s * 2, RESTART_S_MAX)
            self.restarts += 1
            with contextlib.suppress(ChildFailed):
                self._launch()

    def _wait_for_end(self, timeout_s: float | None = None) -> bool:
        process = self._process
        if process is None or process.poll() is not None:
            return True
        pidfd = os.pidfd_open(process.pid)
        watch = watch_fd(pidfd)
        try:
            watch.wait_readable(timeout_s)
        except TimedOut:
            return False
        finally:
            watch.close()
            os.close(pidfd)
        process.poll()
        return True

    def stop(self, grace_s: float) -> None:
        """Ask it to end, wait `grace_s` seconds, then kill it. Parks."""
        self._stopping = True
        if self._watcher is not None:
            self._watcher.cancel()
            self._watcher.join()
        process = self._process
        if process is None or process.poll() is not None:
            return
        process.send_signal(signal.SIGTERM)
        if not self._wait_for_end(grace_s):
            process.kill()
            process.wait()
