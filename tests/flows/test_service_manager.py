"""A balancer under a service manager: its sockets, its notices, and a user that is not root."""

from __future__ import annotations

import os
import pwd
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from flows.balancer import Balancer
from flows.stack import PATIENCE_S, VERDANT, eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

OK = ["empty", {"code": 200}, False]

# As a service manager does it: the sockets from descriptor 3 on, and the process's own id.
ACTIVATE = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1", LISTEN_FDNAMES="front")
os.execv(sys.argv[2], sys.argv[2:])
"""


@pytest.fixture
def notices(tmp_path: Path) -> Iterator[list[str]]:
    """What a service manager was told so far; it reads at once, as the queue is a short one."""
    heard: list[str] = []

    def listen(sock: socket.socket) -> None:
        while text := sock.recv(4096):
            heard.append(text.decode())

    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(tmp_path / "notify"))
        listener = threading.Thread(target=listen, args=(sock,))
        listener.start()
        yield heard
        sock.sendto(b"", str(tmp_path / "notify"))
        listener.join()


def test_states_are_told_and_the_watchdog_is_kept_quiet(tmp_path: Path, notices: list[str]) -> None:
    balancer = Balancer(tmp_path)
    balancer.environment = {
        "NOTIFY_SOCKET": str(tmp_path / "notify"),
        "WATCHDOG_USEC": "200000",
    }
    with balancer:
        eventually(lambda: notices.count("WATCHDOG=1") >= 3)
        assert notices[0] == "READY=1"
        assert balancer.restart().returncode == 0
        eventually(lambda: notices.count("READY=1") == 2)
        assert balancer.stop() == 0
        eventually(lambda: "STOPPING=1" in notices)
    states = [text.partition("\n")[0] for text in notices if text != "WATCHDOG=1"]
    assert states == ["READY=1", "RELOADING=1", "READY=1", "STOPPING=1"]
    assert any(text.startswith("RELOADING=1\nMONOTONIC_USEC=") for text in notices)


def test_a_socket_that_was_opened_for_us_is_served_by_all(tmp_path: Path) -> None:
    balancer = Balancer(tmp_path)
    with socket.socket() as front:
        # A client that comes before there is a balancer waits for one.
        front.bind(("127.0.0.1", balancer.public))
        front.listen()
        early = balancer.connect()
        early.connect()
        process = subprocess.Popen(
            [sys.executable, "-c", ACTIVATE, str(front.fileno()),
             VERDANT, "balancer", "-c", str(balancer.config)],
            pass_fds=[front.fileno()],
        )  # fmt: skip
        try:
            eventually((balancer.state / "supervisor.json").exists)
            balancer.set_rule("a.test", OK)
            early.request("GET", "/", headers={"Host": "a.test"})
            assert early.getresponse().status == 200
            assert [balancer.status_of("a.test") for _ in range(8)] == [200] * 8
        finally:
            early.close()
            process.send_signal(signal.SIGTERM)
            assert process.wait(PATIENCE_S) == 0


def status_of(pid: int, field: str) -> list[str]:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        name, _, value = line.partition(":")
        if name == field:
            return value.split()
    raise AssertionError(field)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_root_is_given_up_once_the_listeners_are_open(tmp_path: Path) -> None:
    nobody = pwd.getpwnam("nobody")
    balancer = Balancer(tmp_path, settings='user = "nobody"')
    balancer.state.mkdir()
    # pytest's own directories are for root alone.
    for parent in (tmp_path, *tmp_path.parents[:2]):
        parent.chmod(0o755)
    try:
        subprocess.run([sys.executable, "-c", "import verdant"], user="nobody", check=True)
    except (PermissionError, subprocess.CalledProcessError):
        pytest.skip("this interpreter cannot be run by others")
    with balancer:
        for pid in (balancer.pid, *balancer.workers().values()):
            assert status_of(pid, "Uid") == [str(nobody.pw_uid)] * 4
            assert status_of(pid, "Gid") == [str(nobody.pw_gid)] * 4
            assert "0" not in status_of(pid, "Groups")
            assert status_of(pid, "CapEff") == ["0" * 16]
        balancer.set_rule("a.test", OK)
        assert balancer.status_of("a.test") == 200
        assert (balancer.state / "journal.jsonl").stat().st_uid == nobody.pw_uid
        # A worker's replacement is nobody as well.
        assert balancer.restart().returncode == 0
        assert balancer.status_of("a.test") == 200


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_a_user_that_there_is_not_is_named(tmp_path: Path) -> None:
    balancer = Balancer(tmp_path, settings='user = "no-such-user"')
    done = subprocess.run(
        [VERDANT, "balancer", "-c", str(balancer.config)],
        capture_output=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 2
    assert b"balancer.user: there is no user 'no-such-user' here" in done.stderr
