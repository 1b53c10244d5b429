"""What the patterns' tests share: processes of their own, and a way to end them."""

from __future__ import annotations

import subprocess
import sys
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING

from verdant import Timeout, run_in_worker, sleep

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def eventually(claim: Callable[[], object]) -> None:
    with Timeout(60):
        while not claim():
            sleep(0.005)


def line_of(said: IO[bytes]) -> bytes:
    """The next line of a process. Parks: the green threads of the test go on."""
    return run_in_worker(said.readline)


@contextmanager
def process(
    program: str, *arguments: str, stderr: int | None = None
) -> Iterator[tuple[subprocess.Popen[bytes], IO[bytes]]]:
    """`program` in a Python of its own, and what it says on stdout."""
    made = subprocess.Popen(
        [sys.executable, "-c", program, *arguments], stdout=subprocess.PIPE, stderr=stderr
    )
    assert made.stdout is not None
    try:
        yield made, made.stdout
    finally:
        made.kill()
        made.wait()
        made.stdout.close()
