"""Programs in processes of their own, and the servers that they speak to."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from drivers.servers import mariadb_server, postgresql_server, redis_server
from isolated.conftest import PROGRAM_S, PROLOGUE, run_patched, run_program

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

__all__ = ["run_patched", "run_program"]

CALL_MAIN = """
if __name__ == "__main__":
    main()
"""


@pytest.fixture
def run_patched_file(tmp_path: Path) -> Callable[..., str]:
    """Run a patched program, which children can import, and its `main()`; return what it printed.

    The interpreter's own children inherit no `-W error`, so what they say is looked at here.
    """

    def run(text: str, *arguments: str) -> str:
        file = tmp_path / "program.py"
        file.write_text(PROLOGUE + text + CALL_MAIN)
        done = subprocess.run(
            [sys.executable, "-X", "faulthandler", "-W", "error", file, *arguments],
            capture_output=True,
            text=True,
            timeout=PROGRAM_S,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert done.stderr == "", done.stderr
        return done.stdout

    return run


@pytest.fixture(scope="module")
def redis_port() -> Iterator[str]:
    """The port of a Redis that this module's tests share."""
    with redis_server() as port:
        yield str(port)


@pytest.fixture(scope="module")
def postgresql_port() -> Iterator[str]:
    """The port of a PostgreSQL that this module's tests share."""
    with postgresql_server() as port:
        yield str(port)


@pytest.fixture(scope="module")
def mariadb_port() -> Iterator[str]:
    """The port of a MariaDB that this module's tests share."""
    with mariadb_server() as port:
        yield str(port)
