"""Real servers, each on a free port and in a directory of its own, gone with the test run.

A server is up when it says so in its own log: nothing here waits for a clock. PostgreSQL and
MariaDB refuse to run as root, so they get the user that Debian made for them.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from flows.stack import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

# A fresh database on a slow disk; a server that never comes up fails here, with its log.
START_S = 120
STOP_S = 30


def program(name: str, *folders: str) -> str:
    """The path of the server `name`; skips the test when it is not installed."""
    path = shutil.which(name, path=os.pathsep.join([*folders, os.environ["PATH"], "/usr/sbin"]))
    if path is None:
        pytest.skip(f"{name} is not installed: make test-deps")
    return path


@contextmanager
def home_for(user: str) -> Iterator[tuple[Path, str | None]]:
    """A directory that `user` owns, and whom to run the server as (None: as we are)."""
    # Not pytest's own directory: nobody but root may enter that.
    with tempfile.TemporaryDirectory(prefix="verdant-") as home:
        if os.geteuid() != 0:
            yield Path(home), None
            return
        shutil.chown(home, user, pwd.getpwnam(user).pw_gid)
        yield Path(home), user


class _Log:
    """What a server says, read to its end so that the pipe never fills up."""

    def __init__(self, process: subprocess.Popen[str], ready: str) -> None:
        self._process = process
        self._ready = ready
        self.lines: list[str] = []
        self.said = threading.Event()
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout:
            for line in self._process.stdout:
                self.lines.append(line)
                if self._ready in line:
                    self.said.set()
        # It ended without a word, or after all of them.
        self.said.set()


@contextmanager
def running(
    command: Sequence[str],
    *,
    ready: str,
    cwd: Path,
    user: str | None = None,
    stop: signal.Signals = signal.SIGTERM,
) -> Iterator[None]:
    """Run `command` until the block ends; begin once its log has the text `ready`."""
    with subprocess.Popen(
        command,
        user=user,
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        log = _Log(process, ready)
        try:
            assert log.said.wait(START_S), "".join(log.lines)
            assert process.poll() is None, "".join(log.lines)
            yield
        finally:
            process.send_signal(stop)
            try:
                process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
            # It has to be done with the pipe before that is closed.
            log.reader.join(STOP_S)


@contextmanager
def redis_server() -> Iterator[int]:
    """A Redis without a disk; yields its port."""
    path = program("redis-server")
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="verdant-") as home:
        options = f"--port {port} --bind 127.0.0.1 --save  --appendonly no".split(" ")
        with running([path, *options], ready="Ready to accept connections", cwd=Path(home)):
            yield port


@contextmanager
def postgresql_server() -> Iterator[int]:
    """A PostgreSQL that trusts everybody on the loopback; yields its port."""
    versions = sorted(map(str, Path("/usr/lib/postgresql").glob("*/bin")), reverse=True)
    server = program("postgres", *versions)
    initdb = str(Path(server).with_name("initdb"))
    port = free_port()
    with home_for("postgres") as (home, user):
        subprocess.run(
            [initdb, "-D", "data", "-U", "postgres", "--auth=trust", "--no-sync", "-E", "UTF8"],
            cwd=home,
            user=user,
            check=True,
            capture_output=True,
        )
        options = f"-h 127.0.0.1 -p {port} -k {home} -F -c max_connections=100"
        ready = "database system is ready to accept connections"
        command = [server, "-D", "data", *options.split()]
        # Its SIGTERM would wait for clients to leave.
        with running(command, ready=ready, cwd=home, user=user, stop=signal.SIGINT):
            yield port


@contextmanager
def mariadb_server() -> Iterator[int]:
    """A MariaDB whose root has no password; yields its port."""
    server = program("mariadbd")
    install = program("mariadb-install-db")
    port = free_port()
    with home_for("mysql") as (home, user):
        data = f"--datadir={home}/data"
        method = "--auth-root-authentication-method=normal"
        subprocess.run(
            [install, "--no-defaults", data, method, "--skip-test-db"],
            cwd=home,
            user=user,
            check=True,
            capture_output=True,
        )
        options = f"--bind-address=127.0.0.1 --port={port} --socket={home}/socket"
        command = [server, "--no-defaults", data, *options.split(), "--skip-name-resolve"]
        # The line of the final start; an upgrade check says the same words without the port.
        with running(command, ready=f"port: {port}", cwd=home, user=user):
            yield port
