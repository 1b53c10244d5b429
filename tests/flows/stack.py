"""A stack run from outside: the installed command, real processes, free ports."""

from __future__ import annotations

import contextlib
import json
import os
import random
import socket
import subprocess
import sys
import time
from http.client import HTTPConnection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flows.program import PATIENCE_S as PATIENCE_S
from flows.program import Program

if TYPE_CHECKING:
    from collections.abc import Callable

VERDANT = str(Path(sys.executable).parent / "verdant")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def free_port_base() -> int:
    """A base whose ports, as the built-in stack counts them, are free."""
    for _ in range(100):
        # Below the ports that clients get: those linger for a minute, thousands of them after a
        # test with much traffic.
        base = random.randrange(10_000, 32_000)
        ports = [base + offset for offset in (0, 42, 43, 51, 52, 53, 61, 62, 63, 80)]
        with contextlib.ExitStack() as held:
            try:
                for port in ports:
                    held.enter_context(socket.socket()).bind(("127.0.0.1", port))
            except OSError:
                continue
            return base
    raise AssertionError("no free run of ports")


def eventually(claim: Callable[[], object]) -> None:
    """Wait until `claim()` is true; fail loudly when it never is."""
    deadline = time.monotonic() + PATIENCE_S
    while not claim():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.02)


def run(*arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [VERDANT, *arguments], input=stdin, capture_output=True, timeout=PATIENCE_S, check=False
    )


def processes_with(text: str) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            with contextlib.suppress(OSError):
                if text in (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode():
                    found.append(int(entry.name))
    return found


class Stack(Program):
    """`verdant up` on free ports. With `config` from a file, else the built-in one."""

    def __init__(self, directory: Path, *, sample: bool = False) -> None:
        self.directory = directory
        self.base = free_port_base()
        self.sample = sample
        self.public = self.base
        self.management = f"127.0.0.1:{self.base + 42}"
        self._screen = directory / "screen.txt"
        if sample:
            self.where = ["--data-dir", str(directory), "--port-base", str(self.base)]
        else:
            path = directory / "verdant.toml"
            path.write_text(self._config())
            self.where = ["-c", str(path)]

    def _config(self) -> str:
        text = f"""
[balancer]
bind = ["127.0.0.1:{self.base}"]
management = "{self.management}"
state_dir = "{self.directory}/balancer"
"""
        for name, first in (("one", self.base + 51), ("two", self.base + 61)):
            text += f"""
[[logs.server]]
name = "{name}"
collect = "tcp://127.0.0.1:{first}"
pull = "tcp://127.0.0.1:{first + 1}"
query = "tcp://127.0.0.1:{first + 2}"
data_dir = "{self.directory}/logs/{name}"
"""
        return text

    def start(self) -> None:
        with self._screen.open("wb") as screen:
            self._process = subprocess.Popen(
                [VERDANT, "up", *self.where], stdout=screen, stderr=subprocess.STDOUT
            )
        eventually(lambda: self._said("Ctrl-C stops everything") or self.ended())
        assert self._process.poll() is None, self._screen.read_text()

    def _said(self, text: str) -> bool:
        return text in self._screen.read_text()

    def pid_of(self, part: str) -> int:
        (pid,) = processes_with(f"verdant.cli.main {part} {self.where[0]} {self.where[1]}")
        return pid

    def set_rule(self, host: str, rule: list[object]) -> None:
        status, answer = self.manage("PUT", f"/hostname/{host}/", rule)
        assert (status, answer) == (200, {"ok": True})

    def manage(self, method: str, path: str, document: object = None) -> tuple[int, Any]:
        connection = HTTPConnection(self.management, timeout=PATIENCE_S)
        try:
            connection.request(method, path, json.dumps(document))
            response = connection.getresponse()
            return response.status, json.loads(response.read())
        finally:
            connection.close()

    def get(self, host: str, path: str = "/") -> tuple[int, bytes]:
        connection = HTTPConnection("127.0.0.1", self.public, timeout=PATIENCE_S)
        try:
            connection.request("GET", path, headers={"Host": host})
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def query(self, text: str, limit: int = 100) -> list[dict[str, Any]]:
        done = run("logs", "query", *self.where, "--json", "--limit", str(limit), text)
        assert done.returncode == 0, done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]
