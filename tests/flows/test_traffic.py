"""Ten thousand real requests to servers we did not write: every body whole, every line once."""

from __future__ import annotations

import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.client import HTTPConnection
from typing import TYPE_CHECKING

import pytest
from flows.stack import PATIENCE_S, Stack, eventually, free_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

REQUESTS = 10_000
CLIENTS = 8
SIZES = [0, 1, 100, 1000, 4096, 8192, 20_000, 65_537, 300_000, 1 << 20]
WEIGHTS = [40, 40, 200, 300, 200, 100, 60, 40, 15, 5]

ECHO = """
import sys
from werkzeug.serving import run_simple
from werkzeug.wrappers import Request, Response

@Request.application
def echo(request):
    return Response(request.get_data(), mimetype="application/octet-stream")

run_simple("127.0.0.1", int(sys.argv[1]), echo, threaded=True)
"""


@contextmanager
def server(*command: str, port: int) -> Iterator[int]:
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        eventually(lambda: _listens(port))
        yield port
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def backends(directory: Path) -> Iterator[dict[str, int]]:
    """Real servers by host name: files of known sizes, and an echo for uploads."""
    files = directory / "files"
    files.mkdir()
    for size in SIZES:
        (files / str(size)).write_bytes(random.Random(size).randbytes(size))
    port = free_port()
    python = (sys.executable, "-m", "http.server", str(port), "-b", "127.0.0.1", "-d", str(files))
    echo_port = free_port()
    with (
        server(*python, port=port),
        server(sys.executable, "-c", ECHO, str(echo_port), port=echo_port),
    ):
        found = {"python.test": port, "echo.test": echo_port}
        nginx = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
        if nginx is None:
            yield found
            return
        nginx_port = free_port()
        config = directory / "nginx.conf"
        config.write_text(
            f"daemon off; pid {directory}/nginx.pid; error_log {directory}/nginx.log;\n"
            f"{'user root;' if os.getuid() == 0 else ''}\n"
            "events {}\n"
            f"http {{ access_log off; client_body_temp_path {directory}/nginx.body;\n"
            f"  server {{ listen 127.0.0.1:{nginx_port}; root {files}; }} }}\n"
        )
        with server(nginx, "-c", str(config), "-e", f"{directory}/nginx.log", port=nginx_port):
            yield {**found, "nginx.test": nginx_port}


class Client:
    """One client's share of the requests, on connections that it keeps, or not."""

    def __init__(self, stack: Stack, hosts: list[str], number: int) -> None:
        self._stack = stack
        self._hosts = hosts
        self._dice = random.Random(number)
        self._number = number
        self._connection: HTTPConnection | None = None

    def run(self, done: threading.Semaphore) -> int:
        count = REQUESTS // CLIENTS
        for turn in range(count):
            self._ask(f"{self._number}-{turn}")
            done.release()
        self._close()
        return count

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _ask(self, name: str) -> None:
        host = self._dice.choice(self._hosts)
        size = self._dice.choices(SIZES, WEIGHTS)[0]
        expected = random.Random(size).randbytes(size)
        keep = self._dice.random() < 0.8
        connection = self._connection or HTTPConnection(
            "127.0.0.1", self._stack.public, timeout=PATIENCE_S
        )
        self._connection = connection
        headers = {"Host": host}
        if not keep:
            headers["Connection"] = "close"
        if host == "echo.test":
            pieces = [expected[at : at + 7001] for at in range(0, size, 7001)]
            connection.request(
                "POST",
                f"/?{name}",
                iter(pieces),
                {**headers, "Transfer-Encoding": "chunked"},
                encode_chunked=True,
            )
        else:
            connection.request("GET", f"/{size}?{name}", headers=headers)
        response = connection.getresponse()
        body = response.read()
        assert response.status == 200, (host, size, response.status, body[:200])
        assert body == expected, (host, size, len(body))
        if not keep:
            self._close()


@pytest.mark.parametrize("kill", [False, True], ids=["all is well", "a log server is killed"])
def test_every_body_is_whole_and_every_line_is_there_once(tmp_path: Path, kill: bool) -> None:
    with backends(tmp_path) as ports, Stack(tmp_path) as stack:
        for host, port in ports.items():
            stack.set_rule(host, ["proxy", {"backends": [["127.0.0.1", port]]}, False])
        done = threading.Semaphore(0)
        with ThreadPoolExecutor(CLIENTS) as pool:
            shares = [
                pool.submit(Client(stack, sorted(ports), number).run, done)
                for number in range(CLIENTS)
            ]
            if kill:
                for _ in range(REQUESTS // 2):
                    assert done.acquire(timeout=PATIENCE_S)
                os.kill(stack.pid_of("logs serve one"), signal.SIGKILL)
            assert sum(share.result() for share in shares) == REQUESTS

        wanted = {
            f"{number}-{turn}" for number in range(CLIENTS) for turn in range(REQUESTS // CLIENTS)
        }

        def names() -> list[str]:
            rows = stack.query("app=balancer", limit=3 * REQUESTS)
            return [row["fields"]["target"].rpartition("?")[2] for row in rows]

        eventually(lambda: len(names()) >= REQUESTS)
        found = names()
        assert len(found) == REQUESTS
        assert set(found) == wanted


def test_a_thousand_held_requests_are_all_answered(tmp_path: Path) -> None:
    held = 1000
    with backends(tmp_path) as ports, Stack(tmp_path) as stack:
        stack.set_rule("asleep.test", ["spin", {}, False])
        clients = []
        try:
            for _ in range(held):
                client = socket.create_connection(("127.0.0.1", stack.public), PATIENCE_S)
                client.sendall(
                    b"GET /100 HTTP/1.1\r\nHost: asleep.test\r\nConnection: close\r\n\r\n"
                )
                clients.append(client)

            def open_requests() -> int:
                counts = stack.manage("GET", "/stats/asleep.test/")[1]
                return int(counts["open_requests"])

            eventually(lambda: open_requests() == held)
            backend = ["127.0.0.1", ports["python.test"]]
            stack.set_rule("asleep.test", ["proxy", {"backends": [backend]}, False])
            expected = random.Random(100).randbytes(100)
            for client in clients:
                answer = b""
                while data := client.recv(65536):
                    answer += data
                assert answer.startswith(b"HTTP/1.1 200 ")
                assert answer.endswith(expected)
        finally:
            for client in clients:
                client.close()
