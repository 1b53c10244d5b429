"""What a user must be able to count on: one dependency, types, nothing that happens on import."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import requires
from importlib.resources import files
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

CONSUMER = """
from verdant import Event, GreenPool, Queue, TaskGroup, Timeout, run_in_worker, spawn, with_timeout

def double(n: int) -> int:
    return n * 2

queue: Queue[str] = Queue(10)
thread = spawn(double, 21)
reveal_type(thread.wait())
reveal_type(queue.get())
reveal_type(list(GreenPool(3).imap(double, [1, 2])))
reveal_type(run_in_worker(double, 1))
reveal_type(with_timeout(1.0, double, 1, timeout_value=None))
with TaskGroup() as group, Timeout(5.0) as bound:
    reveal_type(group.spawn(double, 1).wait())
    reveal_type(bound.expired)
"""


def test_the_runtime_needs_greenlet_alone() -> None:
    needed = [text for text in requires("verdant") or [] if "extra ==" not in text]
    assert [text.split(">")[0] for text in needed] == ["greenlet"]


def test_importing_the_runtime_imports_nothing_else(tmp_path: Path) -> None:
    program = """
import sys
before = set(sys.modules)
import verdant, verdant.patcher, verdant.net, verdant.wsgi, verdant.aio, verdant.eventlet
roots = {name.partition(".")[0] for name in set(sys.modules) - before}
print(*sorted(roots - set(sys.stdlib_module_names)))
"""
    out = subprocess.check_output([sys.executable, "-c", program], text=True, cwd=tmp_path)
    assert set(out.split()) <= {"greenlet", "verdant", "wsproto", "h11"}


def test_a_program_that_uses_it_is_type_checked(tmp_path: Path) -> None:
    assert files("verdant").joinpath("py.typed").is_file()
    program = tmp_path / "consumer.py"
    program.write_text(CONSUMER)
    command = [
        sys.executable,
        "-m",
        "mypy",
        "--strict",
        "--cache-dir",
        str(tmp_path / "cache"),
        str(program),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout
    revealed = [line.split('"')[1] for line in done.stdout.splitlines() if "Revealed" in line]
    assert [name.replace("builtins.", "") for name in revealed] == [
        "int",
        "str",
        "list[int]",
        "int",
        "int | None",
        "int",
        "bool",
    ]
