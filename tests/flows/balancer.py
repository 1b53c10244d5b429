"""A balancer alone, run from outside: supervisor and workers, real processes, free ports."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from http.client import HTTPConnection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flows.program import Program
from flows.stack import PATIENCE_S, VERDANT, eventually, free_port

if TYPE_CHECKING:
    from collections.abc import Iterator


def is_alive(pid: int) -> bool:
    """A process that has ended and that nobody waited for counts as ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


class Balancer(Program):
    """`verdant balancer` on free ports; `settings` are lines of its configuration."""

    def __init__(self, directory: Path, workers: int = 2, settings: str = "") -> None:
        self.directory = directory
        self.public, self.management = free_port(), free_port()
        self.config = directory / "verdant.toml"
        self.state = directory / "state"
        self.words = directory / "words.txt"
        self.environment: dict[str, str] = {}
        self.configure(workers, settings)

    def configure(self, workers: int, settings: str = "") -> None:
        self.config.write_text(
            f'[balancer]\nbind = ["127.0.0.1:{self.public}"]\n'
            f'management = "127.0.0.1:{self.management}"\nstate_dir = "{self.state}"\n'
            f"workers = {workers}\n{settings}\n"
        )

    def start(self) -> None:
        with self.words.open("ab") as words:
            self._process = subprocess.Popen(
                [VERDANT, "balancer", "-c", str(self.config)],
                stdout=words,
                stderr=words,
                env={**os.environ, **self.environment},
            )
        try:
            eventually(lambda: self.ended() or self.note() is not None)
        except BaseException:
            # Nobody enters the block whose end would stop it.
            self.stop(signal.SIGKILL)
            raise
        assert not self.ended(), self.words.read_text()

    def note(self) -> dict[str, Any] | None:
        with contextlib.suppress(OSError):
            note = json.loads((self.state / "supervisor.json").read_bytes())
            if note["pid"] == self.pid:
                return note  # type: ignore[no-any-return]
        return None

    def workers(self) -> dict[str, int]:
        note = self.note()
        assert note is not None
        return note["workers"]  # type: ignore[no-any-return]

    def restart(self) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [VERDANT, "balancer", "restart", "-c", str(self.config)],
            capture_output=True,
            timeout=PATIENCE_S,
            check=False,
        )

    def manage(self, method: str, path: str, document: object = None) -> tuple[int, Any]:
        connection = HTTPConnection("127.0.0.1", self.management, timeout=PATIENCE_S)
        try:
            connection.request(method, path, json.dumps(document))
            response = connection.getresponse()
            return response.status, json.loads(response.read())
        finally:
            connection.close()

    def set_rule(self, host: str, rule: list[object]) -> None:
        assert self.manage("PUT", f"/hostname/{host}/", rule) == (200, {"ok": True})

    def connect(self) -> HTTPConnection:
        return HTTPConnection("127.0.0.1", self.public, timeout=PATIENCE_S)

    def status_of(self, host: str) -> int:
        """On a connection of its own, so that any worker may get it."""
        connection = self.connect()
        try:
            connection.request("GET", "/", headers={"Host": host})
            response = connection.getresponse()
            response.read()
            return response.status
        finally:
            connection.close()

    @contextlib.contextmanager
    def storm(self, *arguments: str) -> Iterator[Storm]:
        """Clients that ask all the time, in a process of their own; see storm.py."""
        command = [sys.executable, str(Path(__file__).parent / "storm.py")]
        process = subprocess.Popen(
            [*command, str(self.public), str(self.management), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        try:
            yield Storm(process)
        finally:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()


class Storm:
    """The clients' process, from here."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        assert process.stdout is not None
        # Its first word is that every client has had an answer.
        assert process.stdout.readline() == b"going\n"

    def end(self) -> dict[str, Any]:
        """Have it stop, or wait until it has done what it was to do; what came of it."""
        out, _ = self._process.communicate(timeout=2 * PATIENCE_S)
        return json.loads(out)  # type: ignore[no-any-return]
