"""Coming from Mantrid: its files as they are, its command line word for word."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
from contextlib import contextmanager
from http.client import HTTPConnection
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner
from flows.stack import PATIENCE_S, eventually, free_port
from hypothesis import given
from hypothesis import strategies as st

from verdant.balancer.errors import StateDamaged
from verdant.balancer.mantrid import MantridConf, import_state, read_conf
from verdant.balancer.rules import rules_to_json
from verdant.balancer.state import State
from verdant.cli.main import main
from verdant.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from click.testing import Result

STATE: dict[str, Any] = {
    "hosts": {
        "www.example.com": ["proxy", {"backends": [["127.0.0.1", 8000]], "attempts": 2}, True],
        "https://pay.example.com": ["empty", {"code": "403"}, False],
        "asleep.example.com": ["spin", {}, False],
        "old.example.com": ["redirect", {"redirect_to": "www.example.com"}, True],
        "test.example.com": ["static", {"type": "test"}, False],
    },
    "stats": {"www.example.com": {"open_requests": 0, "completed_requests": 7}},
}

CONF = """
# A comment of its own line
bind = *:80   # and one behind a value
bind = [::1]:8080
BIND_INTERNAL=127.0.0.1:81
bind_management = 127.0.0.1:9042
bind_management = 127.0.0.2:9042

state_file = /srv/state.json
uid = 33
gid = 34
static_dir = /srv/static
"""


def test_its_configuration_is_read() -> None:
    assert read_conf(CONF, "mantrid.conf") == MantridConf(
        bind=("*:80", "[::1]:8080"),
        bind_internal=("127.0.0.1:81",),
        bind_management=("127.0.0.1:9042", "127.0.0.2:9042"),
        state_file="/srv/state.json",
        static_dir="/srv/static",
        uid=33,
        gid=34,
    )


def test_an_empty_configuration_has_its_defaults() -> None:
    conf = read_conf("", "mantrid.conf")
    assert conf == MantridConf()
    config = conf.to_config("mantrid.conf", as_root=True)
    assert (config.bind, config.bind_internal) == (["*:80"], [])
    assert config.management == "127.0.0.1:8042"
    assert config.state_dir == "/var/lib/mantrid/verdant"
    assert (config.user, config.group) == ("4321", "4321")
    assert conf.to_config("mantrid.conf", as_root=False).user is None


def test_it_becomes_our_configuration() -> None:
    config = read_conf(CONF, "mantrid.conf").to_config("mantrid.conf", as_root=True)
    assert (config.management, config.bind_management) == ("127.0.0.1:9042", ["127.0.0.2:9042"])
    assert (config.state_dir, config.user, config.group) == ("/srv/verdant", "33", "34")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("bind", "is not `name = value`"),
        ("bind =", "is not `name = value`"),
        ("bind = 80", "bind: '80' is not an address"),
        ("bind = 1.2.3.4", "no"),
        ("uid = root", "uid is a number"),
        ("gid = -1", "gid is a number"),
        ("gid = 99999999999999999999999", "gid is a number"),
        ("uid = 1\nuid = 2", "uid was '1' already"),
        ("binds = *:80", "binds is no setting"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(line: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said) as caught:
        read_conf("# one\n" + line, "/etc/mantrid.conf")
    number = 2 + line.count("\n")
    assert str(caught.value).startswith(f"/etc/mantrid.conf:{number}: ")


def test_a_management_address_for_everybody_is_refused() -> None:
    conf = read_conf("bind_management = *:8042", "mantrid.conf")
    with pytest.raises(ConfigurationError, match=r"mantrid\.conf: management: .*tokens"):
        conf.to_config("mantrid.conf", as_root=False)


@given(st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(ConfigurationError):
        assert read_conf(text, "x").bind


def test_its_state_is_taken_over_once_and_left_alone(tmp_path: Path) -> None:
    theirs, ours = tmp_path / "state.json", str(tmp_path / "verdant")
    text = json.dumps(STATE)
    theirs.write_text(text)
    assert import_state(str(theirs), ours) == 5
    with State(ours) as state:
        kept = rules_to_json(state.rules)
        assert kept["https://pay.example.com"] == ["empty", {"code": 403}, False]
        assert kept["www.example.com"] == STATE["hosts"]["www.example.com"]
        state.delete("www.example.com")
    # What was changed since is not undone by the next start.
    assert import_state(str(theirs), ours) == 0
    with State(ours) as state:
        assert len(state.rules) == 4
    assert theirs.read_text() == text


@pytest.mark.parametrize("content", [None, "", "\n"])
def test_no_state_is_no_rules(tmp_path: Path, content: str | None) -> None:
    theirs = tmp_path / "state.json"
    if content is not None:
        theirs.write_text(content)
    assert import_state(str(theirs), str(tmp_path / "verdant")) == 0


@pytest.mark.parametrize(
    "content", ['{"hosts": {"a.te', "[]", '{"stats": {}}', '{"hosts": {"a": ["fly", {}, true]}}']
)
def test_a_torn_state_is_named_and_nothing_is_taken(tmp_path: Path, content: str) -> None:
    theirs, ours = tmp_path / "state.json", str(tmp_path / "verdant")
    theirs.write_text(content)
    with pytest.raises(StateDamaged, match=r"state\.json"):
        import_state(str(theirs), ours)
    with State(ours) as state:
        assert state.rules == {}


class Running:
    """`verdant balancer --mantrid-conf`, as Mantrid would have been started."""

    def __init__(self, directory: Path) -> None:
        self.public, self.api, self.second = free_port(), free_port(), free_port()
        self.directory = directory
        self.conf = directory / "mantrid.conf"
        self.conf.write_text(
            f"bind = 127.0.0.1:{self.public}\n"
            f"bind_management = 127.0.0.1:{self.api}\n"
            f"bind_management = 127.0.0.1:{self.second}\n"
            f"state_file = {directory}/state.json\nstatic_dir = {directory}/static\n"
            # Root stays root: another user may not reach this Python, or the test's directory.
            # test_mantrid_faults.py has root given up.
            f"uid = {os.getuid()}\ngid = {os.getgid()}\n"
        )

    def client(self, *arguments: str) -> Result:
        """What `alias mantrid-client="verdant rules"` makes of the same words."""
        environment = {"VERDANT_MANAGEMENT": f"127.0.0.1:{self.api}", "COLUMNS": "200"}
        return CliRunner().invoke(main, ["rules", *arguments], env=environment)

    def rows(self, *arguments: str) -> list[list[str]]:
        done = self.client(*arguments)
        assert done.exit_code == 0, done.output
        return [line.split() for line in done.stdout.splitlines()]

    def get(self, host: str, port: int, path: str = "/") -> tuple[int, bytes]:
        connection = HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
        try:
            # Mantrid's client sends `null`, and no Content-Type.
            connection.request("GET", path, body="null", headers={"Host": host})
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()


def _accepts(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def running(directory: Path) -> Iterator[Running]:
    made = Running(directory)
    screen = directory / "screen.txt"
    with screen.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "verdant.cli.main", "balancer", "--mantrid-conf", made.conf],
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        eventually(lambda: _accepts(made.api) or process.poll() is not None)
        assert process.poll() is None, screen.read_text()
        yield made
    finally:
        process.terminate()
        assert process.wait(PATIENCE_S) == 0


def test_a_mantrid_is_replaced_in_place(tmp_path: Path) -> None:
    (tmp_path / "state.json").write_text(json.dumps(STATE))
    static = tmp_path / "static"
    static.mkdir()
    (static / "test.http").write_bytes(b"HTTP/1.0 200 OK\r\nContent-Length: 4\r\n\r\nours")
    with running(tmp_path) as balancer:
        assert balancer.get("test.example.com", balancer.public) == (200, b"ours")
        for port in (balancer.api, balancer.second):
            status, body = balancer.get("localhost", port, "/hostname/")
            assert (status, len(json.loads(body))) == (200, 5)

        assert balancer.rows("list") == [
            ["HOST", "ACTION", "SUBDOMS"],
            ["asleep.example.com", "spin", "false"],
            ["https://pay.example.com", "empty<403>", "false"],
            ["old.example.com", "redirect<www.example.com>", "true"],
            ["test.example.com", "static<test>", "false"],
            ["www.example.com", "proxy<127.0.0.1:8000>", "true"],
        ]
        for words in (
            ["new.example.com", "proxy", "True", "backends=127.0.0.1:8000,127.0.0.1:8001"],
            ["new.example.com", "proxy", "false", "backends=127.0.0.1:8000", "attempts=3"],
            ["gone.example.com", "empty", "FALSE", "code=410"],
            ["spin.example.com", "spin", "true"],
        ):
            assert balancer.client("set", *words).exit_code == 0
        assert balancer.get("gone.example.com", balancer.public)[0] == 410
        assert balancer.client("delete", "spin.example.com").exit_code == 0
        assert balancer.client("delete", "spin.example.com").exit_code == 0
        hosts = [row[0] for row in balancer.rows("list")]
        assert "new.example.com" in hosts
        assert "spin.example.com" not in hosts

        head, row = balancer.rows("stats", "gone.example.com")
        assert head == ["HOST", "OPEN", "COMPLETED", "BYTES", "IN", "BYTES", "OUT"]
        assert row[:3] == ["gone.example.com", "0", "1"]
        assert balancer.rows("stats", "nobody.example.com")[1][1:] == ["0"] * 4
        assert ["test.example.com", "0", "1"] in [r[:3] for r in balancer.rows("stats")]

        for words, said in (
            (["set", "a.example.com", "proxy", "true"], "backends"),
            (["set", "a.example.com", "fly", "true"], "no action"),
            (["set", "a.example.com", "spin", "yes"], "'true', 'false'"),
            (["set", "a.example.com", "empty", "true", "code"], "NAME=VALUE"),
            (["set", "a.example.com"], "ACTION"),
        ):
            done = balancer.client(*words)
            assert done.exit_code == 2
            assert said in done.output
    # Who did it stands in the journal of the machine.
    screen = (tmp_path / "screen.txt").read_text()
    assert 'by local@127.0.0.1: "gone.example.com" none -> ["empty",{"code":410},false]' in screen
    with running(tmp_path) as balancer:
        # Ours go on; theirs are not read again.
        assert balancer.get("gone.example.com", balancer.public)[0] == 410
        status, body = balancer.get("localhost", balancer.api, "/hostname/gone.example.com/")
        assert (status, json.loads(body)) == (200, ["empty", {"code": 410}, False])
    assert json.loads((tmp_path / "state.json").read_text()) == STATE


def refused(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "verdant.cli.main", "balancer", *arguments],
        capture_output=True, text=True, timeout=PATIENCE_S, check=False,
    )  # fmt: skip


def test_bad_files_end_it_with_a_sentence(tmp_path: Path) -> None:
    conf = tmp_path / "mantrid.conf"
    conf.write_text("bind = nowhere\n")
    done = refused("--mantrid-conf", str(conf))
    assert (done.returncode, f"{conf}:1: bind" in done.stderr) == (2, True)
    done = refused("--mantrid-conf", str(tmp_path / "absent.conf"))
    assert (done.returncode, "absent.conf" in done.stderr) == (2, True)
    done = refused("--mantrid-conf", str(conf), "-c", "x")
    assert done.returncode == 2
    conf.write_text("bind_management = 0.0.0.0:8042\n")
    done = refused("--mantrid-conf", str(conf))
    assert (done.returncode, "tokens" in done.stderr) == (2, True)


def test_an_open_management_address_ends_it_with_the_key(tmp_path: Path) -> None:
    config = tmp_path / "verdant.toml"
    config.write_text('[balancer]\nmanagement = "0.0.0.0:8042"\n')
    done = refused("-c", str(config))
    assert done.returncode == 2
    assert f"{config}:2: balancer.management" in done.stderr
    assert "[[balancer.tokens]]" in done.stderr
    assert "Traceback" not in done.stderr
