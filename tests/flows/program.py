"""A program run from outside: begun, waited for, and ended with the test that uses it."""

from __future__ import annotations

import os
import select
import signal
import subprocess
from typing import IO, Self

# Bounds on waiting for something that must happen; nobody measures them.
PATIENCE_S = 60.0


class Program:
    """One process. Who inherits gives `start`; `at_exit` is the signal that ends it by itself."""

    at_exit: signal.Signals = signal.SIGTERM
    _process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        raise AssertionError("what to start is for the class that inherits")

    def start_until_ready(self, command: list[str], screen: IO[bytes] | None = None) -> None:
        """Start `command`, which takes `--ready-fd`, and wait for its word."""
        ready, tell = os.pipe()
        self._process = subprocess.Popen(
            [*command, "--ready-fd", str(tell)], stdout=screen, stderr=screen, pass_fds=[tell]
        )
        os.close(tell)
        try:
            assert select.select([ready], [], [], PATIENCE_S)[0], f"{command} does not start"
            assert os.read(ready, 6) == b"ready\n", f"{command} ended instead"
        except BaseException:
            # Nobody enters the block whose end would stop it.
            self.stop(signal.SIGKILL)
            raise
        finally:
            os.close(ready)

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def ended(self) -> bool:
        return self._process is not None and self._process.poll() is not None

    def stop(self, number: int = signal.SIGTERM) -> int:
        process, self._process = self._process, None
        assert process is not None
        process.send_signal(number)
        try:
            return process.wait(PATIENCE_S)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self.stop(self.at_exit)
