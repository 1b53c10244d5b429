"""The backdoor console: driven as a person would, over its unix socket."""

from __future__ import annotations

import os
import socket as stdlib
import stat
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from core.programs import run

from verdant import Event, GreenThread, Timeout, connect, spawn
from verdant.net import AddressUnusable, Backdoor

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from verdant.net import Stream


class Terminal:
    """The other end of one console."""

    def __init__(self, path: str) -> None:
        self.stream: Stream = connect(f"unix:{path}")
        self.shown = ""
        self.read_prompt()

    def read_prompt(self) -> str:
        """What is shown up to the next prompt, without it."""
        with Timeout(20):
            while not self.shown.endswith((">>> ", "... ")):
                data = self.stream.recv(4096)
                assert data, self.shown
                self.shown += data.decode()
        shown, self.shown = self.shown[:-4], ""
        return shown

    def type(self, text: str) -> str:
        """Type lines; returns what is shown up to the last prompt."""
        shown = ""
        for line in text.split("\n"):
            self.stream.sendall(line.encode() + b"\r\n")
            shown += self.read_prompt()
        return shown


@pytest.fixture
def path(tmp_path: Path) -> Iterator[str]:
    where = str(tmp_path / "console")
    backdoor = Backdoor(where, {"answer": 42, "event": Event()})
    backdoor.start()
    yield where
    backdoor.stop()
    assert not os.path.exists(where)


Opener = Callable[[str], Terminal]


@pytest.fixture
def open_terminal() -> Iterator[Opener]:
    opened: list[Terminal] = []

    def open_one(path: str) -> Terminal:
        opened.append(Terminal(path))
        return opened[-1]

    yield open_one
    for terminal in opened:
        terminal.stream.close()


def test_only_the_owner_may_connect(path: str) -> None:
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    with pytest.raises(AddressUnusable):
        Backdoor(path)


def test_expressions_statements_and_errors_are_shown(path: str, open_terminal: Opener) -> None:
    terminal = open_terminal(path)
    assert terminal.type("answer + 1") == "43\n"
    assert terminal.type("_ * 2") == "86\n"
    assert terminal.type("None") == ""
    assert terminal.type("for n in range(3):\n    print(n, end=';')\n") == "0;1;2;"
    assert "ZeroDivisionError" in terminal.type("1/0")
    assert "backdoor.py" not in terminal.type("1/0")
    assert "SyntaxError" in terminal.type("1 +* 2")
    assert terminal.type("print('é', 'ü', sep='-')") == "é-ü\n"


def test_each_console_has_a_namespace_of_its_own(path: str, open_terminal: Opener) -> None:
    one, two = open_terminal(path), open_terminal(path)
    one.type("mine = 1")
    assert "NameError" in two.type("mine")
    assert one.type("mine") == "1\n"


def test_a_console_looks_inside_the_program(path: str, open_terminal: Opener) -> None:
    waiting: GreenThread[bool] = spawn(Event().wait, name="somebody who waits")
    terminal = open_terminal(path)
    shown = terminal.type("print(dump())")
    assert "'somebody who waits' waits in Event.wait" in shown
    assert "backdoor console" in shown
    assert "HubStatistics(turns=" in terminal.type("hub_statistics()")
    waiting.cancel()


def test_a_console_that_waits_keeps_nobody_waiting(path: str, open_terminal: Opener) -> None:
    one, two = open_terminal(path), open_terminal(path)
    one.stream.sendall(b"event.wait()\n")
    assert two.type("1") == "1\n"
    two.type("event.set()")
    assert one.read_prompt() == "True\n"


def test_exit_and_a_broken_connection_end_the_console_alone(
    path: str, open_terminal: Opener
) -> None:
    for words in (b"exit()\n", b"raise SystemExit(3)\n", b"quit()\n"):
        terminal = open_terminal(path)
        terminal.stream.sendall(words)
        with Timeout(20):
            assert terminal.stream.recv(100) == b""
    open_terminal(path).stream.close()
    half = open_terminal(path)
    half.stream.sendall(b"if True:\n")
    half.stream.socket.shutdown(stdlib.SHUT_RDWR)
    assert open_terminal(path).type("1") == "1\n"


def test_a_killed_program_s_socket_is_taken_over(tmp_path: Path, open_terminal: Opener) -> None:
    where = str(tmp_path / "console")
    dead = stdlib.socket(stdlib.AF_UNIX)
    dead.bind(where)
    dead.close()
    backdoor = Backdoor(where)
    backdoor.start()
    assert open_terminal(where).type("1") == "1\n"
    backdoor.stop()


def test_expressions_elsewhere_go_to_the_hook_that_was_there(tmp_path: Path) -> None:
    printed = run(
        """
import sys
from verdant import Backdoor
backdoor = Backdoor(sys.argv[1])
backdoor.start()
sys.displayhook(7)
backdoor.stop()
""",
        str(tmp_path / "console"),
    )
    assert printed == "7\n"
