"""Bad input on the main path gets a clear answer: sentences, statuses, exit codes."""

from __future__ import annotations

import os
import socket
import subprocess
from typing import TYPE_CHECKING

import pytest
from flows.stack import VERDANT, Stack, free_port, run

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with Stack(tmp_path_factory.mktemp("stack")) as made:
        yield made


def test_no_rules_unknown_host_and_every_plain_action(stack: Stack) -> None:
    assert stack.get("a.test")[0] == 503
    stack.set_rule("empty.test", ["empty", {"code": "410"}, True])
    stack.set_rule("static.test", ["static", {"type": "test"}, False])
    stack.set_rule("moved.test", ["redirect", {"redirect_to": "new.test"}, False])
    assert stack.get("a.test")[0] == 503
    assert stack.get("empty.test") == (410, b"")
    assert stack.get("deep.below.EMPTY.test:8000")[0] == 410
    status, page = stack.get("static.test")
    assert status == 200
    assert b"It works" in page
    assert stack.get("below.static.test")[0] == 503
    assert stack.get("moved.test")[0] == 302


def test_a_dead_backend_is_a_502_and_a_spin_that_is_not_answered_a_503(stack: Stack) -> None:
    stack.set_rule("dead.test", ["proxy", {"backends": [["127.0.0.1", free_port()]]}, False])
    assert stack.get("dead.test")[0] == 502
    stack.set_rule("spin.test", ["spin", {"timeout": 0.05}, False])
    assert stack.get("spin.test")[0] == 503


def test_a_bad_head_is_a_400_and_a_huge_one_a_431(stack: Stack) -> None:
    huge = b"GET / HTTP/1.1\r\nX: " + b"a" * 70_000 + b"\r\n\r\n"
    blank = b"GET / HTTP/1.1\r\nHost: a\r\nX : y\r\n\r\n"
    for data, status in ((blank, b"400"), (huge, b"431")):
        with socket.create_connection(("127.0.0.1", stack.public), 30) as client:
            client.sendall(data)
            assert client.recv(4096).startswith(b"HTTP/1.1 " + status)


def test_a_bad_rule_changes_nothing(stack: Stack) -> None:
    stack.set_rule("rule.test", ["empty", {"code": 403}, False])
    bad: list[object] = [
        {},
        ["empty"],
        ["fly", {}, False],
        ["empty", {"code": 9}, False],
        ["empty", {}, 1],
    ]
    for rule in bad:
        status, answer = stack.manage("PUT", "/hostname/rule.test/", rule)
        assert status == 400
        assert answer["error"]
    assert stack.manage("GET", "/hostname/rule.test/")[1] == ["empty", {"code": 403}, False]


def test_commands_answer_mistakes_with_sentences(stack: Stack) -> None:
    done = run("rules", "set", "x.test", "fly", "false", "--management", stack.management)
    assert (done.returncode, b"no action" in done.stderr) == (2, True)
    done = run("rules", "list", "--management", f"127.0.0.1:{free_port()}")
    assert (done.returncode, b"no balancer answers" in done.stderr) == (1, True)
    done = run("logs", "query", *stack.where, 'app="open')
    assert (done.returncode, b"Traceback" in done.stderr) == (1, False)
    done = run(
        "rules", "set", "x.test", "empty", "false", "code=404", "--management", stack.management
    )
    assert done.returncode == 0
    assert b"x.test" in run("rules", "list", "--management", stack.management).stdout
    assert run("rules", "delete", "x.test", "--management", stack.management).returncode == 0


def test_lines_are_shipped_from_standard_input(stack: Stack) -> None:
    done = run("logs", "ship", "--app", "seq", *stack.where, stdin=b"one\ntwo\nthr\xffee\n")
    assert done.returncode == 0, done.stderr
    found = [row["message"] for row in stack.query("app=seq")]
    assert found == ["one", "two", "thr\\xffee"]


def test_absent_log_servers_are_named(stack: Stack) -> None:
    endpoint = f"tcp://127.0.0.1:{free_port()}"
    done = subprocess.run(
        [VERDANT, "logs", "query", "--server", endpoint],
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert endpoint.encode() in done.stderr


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[balancer]\nbindd = []\n", b":2: balancer.bindd"),
        ("[balancer]\nbind = 5\n", b":2: balancer.bind"),
        ("[balancer\n", b":1:"),
    ],
)
def test_a_bad_configuration_names_file_line_and_key(
    tmp_path: Path, text: str, said: bytes
) -> None:
    path = tmp_path / "verdant.toml"
    path.write_text(text)
    done = run("up", "-c", str(path))
    assert done.returncode == 2
    assert str(path).encode() + said in done.stderr
    assert b"Traceback" not in done.stderr


def test_a_missing_configuration_is_a_sentence(tmp_path: Path) -> None:
    done = run("up", "-c", str(tmp_path / "none.toml"))
    assert (done.returncode, b"cannot be read" in done.stderr) == (2, True)


def test_a_port_in_use_is_named(stack: Stack, tmp_path: Path) -> None:
    path = tmp_path / "verdant.toml"
    path.write_text(
        f'[balancer]\nbind = ["127.0.0.1:{stack.public}"]\nmanagement = "127.0.0.1:{free_port()}"\n'
        f'state_dir = "{tmp_path}/state"\n'
    )
    for command in ("up", "balancer"):
        done = run(command, "-c", str(path))
        assert done.returncode == 1
        assert f"cannot listen on 127.0.0.1:{stack.public}".encode() in done.stdout + done.stderr
        assert b"Traceback" not in done.stdout + done.stderr


def test_an_unwritable_state_directory_is_named(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.touch()
    path = tmp_path / "verdant.toml"
    path.write_text(
        f'[balancer]\nbind = ["127.0.0.1:{free_port()}"]\nmanagement = "127.0.0.1:{free_port()}"\n'
        f'state_dir = "{blocked}"\n'
    )
    done = run("balancer", "-c", str(path))
    assert done.returncode == 1
    assert str(blocked).encode() in done.stderr
    assert b"Traceback" not in done.stderr
    assert os.path.isfile(blocked)
