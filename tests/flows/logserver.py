"""One log server run from outside, with inputs on free ports; what it has is read by query."""

from __future__ import annotations

import contextlib
import random
import signal
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

from flows.program import Program
from flows.stack import PATIENCE_S, VERDANT, eventually

from verdant.logs import Reader

if TYPE_CHECKING:
    from pathlib import Path

    from verdant.logs import Row


def quiet_port() -> int:
    """A free port that no outgoing connection takes meanwhile, for servers that start again."""
    while True:
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", random.randrange(10_000, 32_000)))
            return int(probe.getsockname()[1])


class LogServer(Program):
    """`verdant logs serve one`, with an input for each of `inputs`: a name and TOML lines."""

    def __init__(self, directory: Path, inputs: dict[str, str]) -> None:
        self.directory = directory
        self.ports = {name: quiet_port() for name in inputs}
        self.collect, self.pull, self.query_endpoint = (
            f"ipc://{directory}/{name}" for name in ("collect", "pull", "query")
        )
        self._config = directory / "verdant.toml"
        text = f"""
[[logs.server]]
name = "one"
collect = "{self.collect}"
pull = "{self.pull}"
query = "{self.query_endpoint}"
data_dir = "{directory}/data"
"""
        for name, lines in inputs.items():
            text += f'[[logs.server.input]]\nbind = "127.0.0.1:{self.ports[name]}"\n{lines}\n'
        self._config.write_text(text)

    def start(self) -> None:
        with (self.directory / "screen.txt").open("ab") as screen:
            self.start_until_ready(
                [VERDANT, "logs", "serve", "one", "-c", str(self._config)], screen
            )

    def kill(self) -> None:
        self.stop(signal.SIGKILL)

    def rows(self, text: str = "", limit: int = 50_000) -> list[Row]:
        reader = Reader([self.query_endpoint], timeout_s=PATIENCE_S)
        try:
            found = reader.query(text, limit, "oldest")
        finally:
            reader.close()
        assert not found.missing
        return found.rows

    def wait_for(self, count: int, text: str = "") -> list[Row]:
        """The rows, once there are `count` of them."""
        eventually(lambda: len(self.rows(text)) >= count)
        return self.rows(text)


def run_python(program: str, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    """A client's program in a process of its own."""
    return subprocess.run(
        [sys.executable, "-c", program, *arguments],
        capture_output=True,
        timeout=PATIENCE_S,
        check=False,
    )
