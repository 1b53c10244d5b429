"""Several workers, from outside: changes and restarts under load, kills, and who ends with whom."""

from __future__ import annotations

import os
import signal
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPException
from typing import TYPE_CHECKING

import pytest
from flows.balancer import Balancer, is_alive
from flows.stack import eventually

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

# How many seconds' worth of a thousand changes; more when somebody has the time.
STORM_SECONDS = int(os.environ.get("VERDANT_STORM_SECONDS", "5"))
OK = ["empty", {"code": 200}, False]
HELD = 12


def wait_for_end(pids: Collection[int]) -> None:
    eventually(lambda: not any(is_alive(pid) for pid in pids))


def test_no_answer_is_older_than_a_change_that_was_answered(tmp_path: Path) -> None:
    with Balancer(tmp_path) as balancer, balancer.storm(str(1000 * STORM_SECONDS)) as storm:
        came = storm.end()
    assert came["failures"] == []
    assert came["older"] == 0
    assert came["changed"] == 1000 * STORM_SECONDS
    assert came["answers"] > 0


def test_restarts_of_all_workers_under_load_lose_no_request(tmp_path: Path) -> None:
    with Balancer(tmp_path) as balancer:
        balancer.set_rule("load.test", OK)
        with balancer.storm() as storm:
            seen = {*balancer.workers().values()}
            for count in (2, 3, 1):
                balancer.configure(count)
                done = balancer.restart()
                assert done.returncode == 0, done.stderr
                assert done.stderr == f"{count} workers replaced\n".encode()
                pids = {*balancer.workers().values()}
                assert len(pids) == count
                assert not pids & seen
                wait_for_end(seen)
                seen = pids
            came = storm.end()
        assert came["failures"] == []
        stats = balancer.manage("GET", "/stats/load.test/")[1]
        # What the last answers came to is told when the drained workers end.
        assert stats["completed_requests"] >= came["answers"]


def test_a_killed_worker_is_replaced_and_takes_only_its_own_connections(tmp_path: Path) -> None:
    with Balancer(tmp_path) as balancer:
        balancer.set_rule("a.test", OK)
        connections = [balancer.connect() for _ in range(32)]
        try:
            for connection in connections:
                connection.request("GET", "/", headers={"Host": "a.test"})
                assert connection.getresponse().read() == b""
            assert balancer.manage("GET", "/stats/a.test/")[1]["completed_requests"] == 32
            victim, other = balancer.workers().values()
            os.kill(victim, signal.SIGKILL)
            # Also those that come while it is being replaced are answered.
            assert [balancer.status_of("a.test") for _ in range(16)] == [200] * 16
            eventually(lambda: victim not in balancer.workers().values())
            kept = 0
            for connection in connections:
                sock = connection.sock
                assert sock is not None
                try:
                    sock.sendall(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n")
                    kept += sock.recv(65536).startswith(b"HTTP/1.1 200")
                except OSError:
                    continue
            assert 0 < kept < 32
        finally:
            for connection in connections:
                connection.close()
        assert other in balancer.workers().values()
        # What the dead worker had told is kept.
        counts = balancer.manage("GET", "/stats/a.test/")[1]
        assert counts["completed_requests"] == 48 + kept
        assert counts["open_requests"] == 0


def test_a_worker_that_stands_still_holds_up_no_change_for_good(tmp_path: Path) -> None:
    with Balancer(tmp_path) as balancer:
        stuck = balancer.workers()["1"]
        os.kill(stuck, signal.SIGSTOP)
        balancer.set_rule("a.test", OK)
        assert not is_alive(stuck)
        assert [balancer.status_of("a.test") for _ in range(8)] == [200] * 8


def test_held_requests_of_all_workers_are_woken_by_a_change_and_wake_once(tmp_path: Path) -> None:
    notices = tmp_path / "notices"
    wake = f"""
[balancer.wake]
command = ["/bin/sh", "-c", "echo $VERDANT_HOST >> {notices}"]
repeat_s = 600.0
"""
    with Balancer(tmp_path, settings=wake) as balancer:
        balancer.set_rule("a.test", ["spin", {"timeout": 600}, False])
        with ThreadPoolExecutor(HELD) as clients:
            answers = [clients.submit(balancer.status_of, "a.test") for _ in range(HELD)]
            eventually(lambda: balancer.manage("GET", "/stats/a.test/")[1]["open_requests"] == HELD)
            balancer.set_rule("a.test", ["empty", {"code": 204}, False])
            assert [answer.result() for answer in answers] == [204] * HELD
        eventually(notices.exists)
        assert notices.read_text() == "a.test\n"
        # Asleep again: this is another sleep.
        balancer.set_rule("a.test", ["spin", {"timeout": 600}, False])
        answered: list[int] = []
        client = threading.Thread(target=lambda: answered.append(balancer.status_of("a.test")))
        client.start()
        eventually(lambda: notices.read_text() == "a.test\na.test\n")
        balancer.set_rule("a.test", OK)
        client.join()
        assert answered == [200]


def test_a_configuration_that_cannot_be_used_leaves_the_workers_alone(tmp_path: Path) -> None:
    with Balancer(tmp_path) as balancer:
        balancer.set_rule("a.test", OK)
        before = balancer.workers()
        right = balancer.config.read_text()
        balancer.config.write_text(
            right.replace(str(balancer.management), str(balancer.management + 1))
        )
        done = balancer.restart()
        assert done.returncode == 1
        assert b"management changes only when" in done.stderr
        balancer.config.write_text(right.replace("workers = 2", "workers = -1"))
        os.kill(balancer.pid, signal.SIGHUP)
        eventually(lambda: "as before" in balancer.words.read_text())
        assert balancer.workers() == before
        assert balancer.status_of("a.test") == 200


def test_workers_end_with_their_supervisor(tmp_path: Path) -> None:
    balancer = Balancer(tmp_path)
    with balancer:
        pids = [*balancer.workers().values()]
        balancer.stop(signal.SIGKILL)
        wait_for_end(pids)
    # What it left behind is in nobody's way.
    with balancer:
        assert len(balancer.workers()) == 2
        pids = [*balancer.workers().values()]
        assert balancer.stop() == 0
        assert not any(is_alive(pid) for pid in pids)
        assert not (balancer.state / "supervisor.json").exists()


def test_a_stop_does_not_wait_for_those_that_are_held(tmp_path: Path) -> None:
    with Balancer(tmp_path, settings="drain_timeout_s = 0.5") as balancer:
        balancer.set_rule("a.test", ["spin", {"timeout": 600}, False])
        pids = [*balancer.workers().values()]
        with ThreadPoolExecutor(1) as clients:
            held = clients.submit(balancer.status_of, "a.test")
            eventually(lambda: balancer.manage("GET", "/stats/a.test/")[1]["open_requests"] == 1)
            assert balancer.stop() == 0
            with pytest.raises((OSError, HTTPException)):
                held.result()
        assert not any(is_alive(pid) for pid in pids)


def test_one_worker_is_enough(tmp_path: Path) -> None:
    with Balancer(tmp_path, workers=1) as balancer:
        balancer.set_rule("a.test", OK)
        assert balancer.status_of("a.test") == 200
        assert balancer.restart().returncode == 0
        assert balancer.status_of("a.test") == 200


class _Backend:
    """Answers a request once it is let."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port: int = self.listener.getsockname()[1]
        self.open: list[socket.socket] = []
        self._accepting = threading.Thread(target=self._accept)
        self._accepting.start()

    def _accept(self) -> None:
        while True:
            connection, _ = self.listener.accept()
            # What ends us has nothing to say.
            if not connection.recv(65536):
                connection.close()
                return
            self.open.append(connection)

    def answer_all(self) -> None:
        for connection in self.open:
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            connection.close()

    def close(self) -> None:
        socket.create_connection(("127.0.0.1", self.port)).close()
        self._accepting.join()
        self.listener.close()


def test_backends_of_all_workers_are_told_as_one_and_drained(tmp_path: Path) -> None:
    backend, other = _Backend(), _Backend()
    try:
        with Balancer(tmp_path) as balancer, ThreadPoolExecutor(HELD + 1) as pool:
            both = [["127.0.0.1", b.port] for b in (backend, other)]
            balancer.set_rule("a.test", ["proxy", {"backends": both[:1]}, False])
            answers = [pool.submit(balancer.status_of, "a.test") for _ in range(HELD)]
            eventually(lambda: len(backend.open) == HELD)
            balancer.set_rule("a.test", ["proxy", {"backends": both}, False])
            told = balancer.manage("GET", "/hostname/a.test/backends/")[1]
            assert [t["open_requests"] for t in told] == [HELD, 0]
            path = f"/hostname/a.test/backends/127.0.0.1:{backend.port}/"
            at_once = balancer.manage("DELETE", path + "?drain_s=0.01")
            assert at_once == (200, {"ok": True, "open_requests": HELD})
            balancer.set_rule("a.test", ["proxy", {"backends": both}, False])
            removing = pool.submit(balancer.manage, "DELETE", path + "?drain_s=60")
            eventually(lambda: len(balancer.manage("GET", "/hostname/a.test/backends/")[1]) == 1)
            assert not removing.done()
            backend.answer_all()
            assert removing.result() == (200, {"ok": True, "open_requests": 0})
            assert [answer.result() for answer in answers] == [200] * HELD
            told = balancer.manage("GET", "/v1/hosts/a.test")[1]["stats"]
            assert (told["completed_requests"], told["open_requests"]) == (HELD, 0)
            status = balancer.manage("GET", "/v1/status")[1]
            assert (status["version"], status["totals"]["completed_requests"]) == (5, HELD)
    finally:
        backend.close()
        other.close()


def test_held_requests_of_all_workers_are_told_and_count_as_life(tmp_path: Path) -> None:
    with Balancer(tmp_path) as balancer, ThreadPoolExecutor(HELD) as pool:
        balancer.set_rule("a.test", ["spin", {"timeout": 600}, False])
        answers = [pool.submit(balancer.status_of, "a.test") for _ in range(HELD)]
        eventually(lambda: balancer.manage("GET", "/v1/status")[1]["held_requests"] == HELD)
        host = balancer.manage("GET", "/v1/hosts/a.test")[1]
        assert host["held_requests"] == HELD
        assert host["last_activity"] is not None
        balancer.set_rule("a.test", OK)
        assert [answer.result() for answer in answers] == [200] * HELD
        assert balancer.manage("GET", "/v1/status")[1]["held_by_host"] == {}
    assert 'by local@127.0.0.1: "a.test" ["spin",' in balancer.words.read_text()
