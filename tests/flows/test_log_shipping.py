"""Files followed by a client that is killed again and again; servers that are killed meanwhile."""

from __future__ import annotations

import os
import random
import shutil
import signal
import threading
from collections import Counter
from typing import TYPE_CHECKING

from flows.logserver import LogServer
from flows.program import Program
from flows.stack import PATIENCE_S, VERDANT, eventually

from verdant.logs import Reader

if TYPE_CHECKING:
    from pathlib import Path


LINES_MAX = 15_000


class Shipping(Program):
    """`verdant logs ship --follow` of `pattern` to `servers`."""

    at_exit = signal.SIGKILL

    def __init__(self, spool: Path, pattern: str, servers: list[str], *options: str) -> None:
        self._command = [
            VERDANT, "logs", "ship", "--app", "web", "--follow", "--spool", str(spool), *options,
        ]  # fmt: skip
        for server in servers:
            self._command += ["--server", server]
        self._command.append(pattern)

    def start(self) -> None:
        self.start_until_ready(self._command)


class Writers:
    """Threads that write numbered lines to files of their own.

    Once that `rotating` is set they rotate them, in both ways.
    """

    def __init__(self, directory: Path, names: list[str]) -> None:
        self.written: list[str] = []
        self.rotating = threading.Event()
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._write, args=(directory / f"{name}.log", name))
            for name in names
        ]
        for thread in self._threads:
            thread.start()

    def _write(self, path: Path, name: str) -> None:
        chance = random.Random(name)
        number = 0
        # Fewer, both together, than a query shows at once, however slow the machine is.
        while number < LINES_MAX and not self._stop.wait(0.02):
            with path.open("a") as file:
                for _ in range(chance.randrange(1, 30)):
                    line = f"{name} {number} {'x' * chance.randrange(100)}"
                    self.written.append(line)
                    file.write(line + "\n")
                    number += 1
            if self.rotating.is_set() and chance.random() < 0.1:
                rotated = [path.with_name(f"{path.name}.{n}") for n in range(1, 200)]
                count = next(n for n, old in enumerate(rotated) if not old.exists())
                for place in range(count, 0, -1):
                    rotated[place - 1].rename(rotated[place])
                if chance.random() < 0.5:
                    path.rename(rotated[0])
                else:
                    # logrotate's copytruncate; this writer waits meanwhile, so nothing is lost.
                    shutil.copy(path, rotated[0])
                    os.truncate(path, 0)

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()


def test_a_client_killed_ten_times_ships_every_line_once(tmp_path: Path) -> None:
    logs = tmp_path / "logs"
    logs.mkdir()
    chance = random.Random(7)
    with LogServer(tmp_path, {}) as server:
        shipping = Shipping(tmp_path / "spool", str(logs / "*.log"), [server.collect])
        writers = Writers(logs, ["a", "b"])
        try:
            for life in range(10):
                shipping.start()
                if life == 0:
                    # What is rotated before anybody ever looked is nobody's.
                    eventually(lambda: {row.msg[0] for row in server.rows()} == {"a", "b"})
                    writers.rotating.set()
                # Random moments, so also such in which nothing was read yet.
                threading.Event().wait(chance.random())
                shipping.stop(signal.SIGKILL)
        finally:
            writers.stop()
        with shipping:
            wanted = Counter(writers.written)
            eventually(lambda: len(server.rows("app=web")) >= len(writers.written))
            assert shipping.stop() == 0
        found = Counter(row.msg for row in server.rows("app=web"))
    assert found - wanted == Counter(), "shown twice"
    assert wanted - found == Counter(), "lost"


def test_lines_wait_on_disk_while_no_server_is_there_and_go_to_as_many_as_asked(
    tmp_path: Path,
) -> None:
    for name in ("one", "two", "logs"):
        (tmp_path / name).mkdir()
    path = tmp_path / "logs" / "x.log"
    path.write_text("early\n")
    one, two = LogServer(tmp_path / "one", {}), LogServer(tmp_path / "two", {})
    endpoints = [one.collect, two.collect]
    shipping = Shipping(tmp_path / "spool", str(path), endpoints, "--copies", "2")
    with shipping:
        spool = tmp_path / "spool"
        # Zstandard's magic: a batch.
        eventually(lambda: any(b"\x28\xb5\x2f\xfd" in p.read_bytes() for p in spool.glob("*.log")))
        shipping.stop(signal.SIGKILL)
    # The file is gone, and the line is not.
    path.unlink()
    with one, two, shipping:
        assert [row.msg for row in one.wait_for(1)] == ["early"]
        assert [row.msg for row in two.wait_for(1)] == ["early"]
        # One of two is not enough: what is written now waits until both have it.
        one.kill()
        path.write_text("late\n")
        two.wait_for(2)
        one.start()
        one.wait_for(2)
        reader = Reader([one.query_endpoint, two.query_endpoint], timeout_s=PATIENCE_S)
        try:
            rows = reader.query("app=web", 10, "oldest").rows
        finally:
            reader.close()
        assert sorted(row.msg for row in rows) == ["early", "late"]


def test_tracebacks_are_shipped_as_one_line_and_other_servers_take_over(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    path = tmp_path / "x.log"
    trace = (
        "Traceback (most recent call last):\n"
        '  File "x.py", line 1, in <module>\n'
        "    1 / 0\n"
        "ZeroDivisionError: division by zero"
    )
    path.write_text(f"before\n{trace}\nafter\n")
    # Nobody is at the first one's endpoint.
    absent, present = LogServer(tmp_path / "one", {}), LogServer(tmp_path / "two", {})
    endpoints = [absent.collect, present.collect]
    with (
        present,
        Shipping(tmp_path / "spool", str(path), endpoints, "--multiline", "auto") as shipping,
    ):
        rows = present.wait_for(3)
        assert shipping.stop() == 0
    assert sorted(row.msg for row in rows) == sorted(["before", trace, "after"])
