"""Following real servers that are killed: each line once, in order, whatever happens to them."""

from __future__ import annotations

import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from flows.stack import VERDANT, free_port

from verdant.core import Timeout, sleep, spawn
from verdant.logs import Reader, Record, Row, Shipper, Spool

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

PATIENCE_S = 60.0
LINES = 600


class Server:
    """`verdant logs serve one` in a process of its own, on endpoints that stay."""

    def __init__(self, directory: Path) -> None:
        self.collect, self.query = (f"tcp://127.0.0.1:{free_port()}" for _ in range(2))
        self._config = directory / "verdant.toml"
        self._config.write_text(
            f'[[logs.server]]\nname = "one"\ncollect = "{self.collect}"\nquery = "{self.query}"\n'
            f'pull = "tcp://127.0.0.1:{free_port()}"\ndata_dir = "{directory}/one"\n'
            "headroom_bytes = 0\n"
        )
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [VERDANT, "logs", "serve", "one", "-c", str(self._config)]
        self._process = subprocess.Popen(command, stderr=sys.stderr)

    def kill(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
            self._process = None


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    made = Server(tmp_path)
    made.start()
    yield made
    made.kill()


def write(spool: Spool, gone: Callable[[int], None]) -> None:
    for number in range(LINES):
        spool.put(Record(number, "web", "h", "INFO", str(number)))
        if number % 10 == 9:
            gone(number)
            sleep(0.01)


def test_no_line_is_left_out_or_shown_twice_while_a_server_is_killed(server: Server) -> None:
    spool = Spool("test")
    shipper = Shipper(spool, [server.collect])
    reader = Reader([server.query], timeout_s=1.0)
    found: list[str] = []

    def restart(number: int) -> None:
        if number in (199, 399):
            server.kill()
            server.start()

    with Timeout(PATIENCE_S):
        # It answers: from here on nothing may be missed.
        while reader.query().missing:
            sleep(0.05)
        follower = reader.follow()
        rows = iter(follower)
        shipper.start()
        writer = spawn(write, spool, restart)
        while len(found) < LINES // 2:
            row = next(rows)
            assert isinstance(row, Row)
            found.append(row.msg)
        # This program goes on by its token, as if it had ended here.
        token = follower.token
        follower.close()
        reader.close()
        reader = Reader([server.query], timeout_s=1.0)
        rows = iter(reader.follow(token=token))
        while len(found) < LINES:
            row = next(rows)
            assert isinstance(row, Row)
            found.append(row.msg)
        writer.wait()
    assert found == [str(number) for number in range(LINES)]
    assert shipper.stop(PATIENCE_S)
    assert [row.msg for row in reader.query(limit=LINES, order="oldest").rows] == found
    rows.close()  # type: ignore[attr-defined]
    reader.close()
