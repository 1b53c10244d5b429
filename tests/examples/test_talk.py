"""The talk's slides run: each example as a program of its own, against servers made here."""

from __future__ import annotations

import http.client
import json
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import zmq

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

TALK = Path(__file__).parents[2] / "examples/talk"

# The longest that any of them may take.
PROGRAM_S = 60


def run(name: str, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", TALK / name, *arguments],
        capture_output=True,
        text=True,
        timeout=PROGRAM_S,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@contextmanager
def serving(
    name: str, *arguments: str, said_before_end: Sequence[str] | None = None
) -> Iterator[tuple[str, int]]:
    """Run a server that says where it listens, and end it by Ctrl-C.

    said_before_end: lines that it says first, in any order.
    """
    with subprocess.Popen(
        [sys.executable, "-W", "error", TALK / name, *(arguments or ["127.0.0.1:0"])],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as program:
        try:
            assert program.stdout is not None
            said = re.fullmatch(r"listening on (.+):(\d+)\n", program.stdout.readline())
            assert said is not None
            yield said[1], int(said[2])
            lines = [program.stdout.readline().rstrip() for _ in said_before_end or ()]
            assert sorted(lines) == sorted(said_before_end or ())
            program.send_signal(signal.SIGINT)
            out, err = program.communicate(timeout=PROGRAM_S)
            assert (out.splitlines()[-1], err, program.returncode) == ("closed", "", 0)
        finally:
            program.kill()


@contextmanager
def line_server(answer: bytes | None) -> Iterator[str]:
    """Accept one connection, and answer its first line, or never."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        ended = threading.Event()

        def serve() -> None:
            connection, _ = listener.accept()
            with connection, connection.makefile("rb") as lines:
                line = lines.readline()
                if answer is not None:
                    connection.sendall(answer + line)
                else:
                    ended.wait(PROGRAM_S)

        thread = threading.Thread(target=serve)
        thread.start()
        host, port = listener.getsockname()
        try:
            yield f"{host}:{port}"
        finally:
            ended.set()
            thread.join(PROGRAM_S)


# A server of the examples on any free port.
ANY = "tcp://127.0.0.1:*"


def test_every_example_is_short_and_tested_here() -> None:
    here = Path(__file__).read_text()
    table = (TALK / "README.md").read_text()
    for path in TALK.glob("*.py"):
        assert len(path.read_text().splitlines()) < 60
        assert f'"{path.name}"' in here
        assert f"`{path.name}`" in table


def test_fetch_asks_all_at_once() -> None:
    # Nobody is answered before all three have asked.
    everybody = threading.Barrier(3)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            everybody.wait(PROGRAM_S)
            body = self.path.encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        base = f"http://127.0.0.1:{server.server_port}"
        urls = [f"{base}/{'x' * length}" for length in (1, 22, 333)]
        try:
            out = run("fetch.py", *urls)
        finally:
            server.shutdown()
            thread.join()
    assert out.splitlines() == [
        f"{urls[0]}: 2 bytes",
        f"{urls[1]}: 23 bytes",
        f"{urls[2]}: 334 bytes",
    ]


def test_the_sleep_that_does_not_yield_and_the_one_that_does() -> None:
    keeps = run("sleep_keeps_all.py", "0.05").splitlines()
    assert keeps == ["b lies down", "0.05 seconds b", "a lies down", "0.05 seconds a"]
    yields = run("sleep_yields.py", "0.05").splitlines()
    assert yields == ["b lies down", "a lies down", "0.05 seconds b", "0.05 seconds a"]


@pytest.mark.parametrize("name", ["green_by_import.py", "green_by_patching.py"])
def test_greening(name: str) -> None:
    assert run(name) == "you said: hi there\n"


def test_timeout() -> None:
    with line_server(b"you said: ") as address:
        assert run("give_up.py", address) == "you said: hello\n"
    with line_server(None) as address:
        out = run("give_up.py", address, "0.1")
    assert out == "abort, abort: not finished within 0.1 s\n"


def test_semaphore() -> None:
    assert run("one_at_a_time.py") == "5 of 10 were paid, 0 is left\n"


def test_queue() -> None:
    assert run("work_queue.py", "5", "0.001").splitlines() == [f"lol {n}" for n in range(5)]


def test_green_pool_and_pool(tmp_path: Path) -> None:
    path = tmp_path / "users.db"
    database = sqlite3.connect(path)
    database.execute("CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT)")
    database.executemany("INSERT INTO users VALUES (?, ?)", [(n, f"user{n}") for n in range(1, 41)])
    database.commit()
    database.close()
    ids = [str(number) for number in range(1, 42)]
    expected = [f"{number}: user{number}" for number in ids[:-1]] + ["41: nobody"]
    assert run("query_pool.py", str(path), *ids).splitlines() == expected


def test_listen_and_serve() -> None:
    with ExitStack() as stack, serving("front_door.py") as address:
        clients = [
            stack.enter_context(socket.create_connection(address, PROGRAM_S)) for _ in range(200)
        ]
        # All of them are open when the first is answered.
        for number, client in enumerate(clients):
            client.sendall(b"hello %d\n" % number)
        for number, client in enumerate(clients):
            with client.makefile("rb") as lines:
                assert lines.readline() == b"HELLO %d\n" % number


def test_wsgi_server() -> None:
    with ExitStack() as stack, serving("management.py") as address:
        connection = http.client.HTTPConnection(*address, timeout=PROGRAM_S)
        stack.callback(connection.close)
        counts = []
        for method, path in (("POST", "/a.example"), ("POST", "/a.example"), ("GET", "/")):
            connection.request(method, path)
            answer = connection.getresponse()
            assert answer.status == 200
            counts.append(json.loads(answer.read()))
        assert counts == [{"a.example": 1}, {"a.example": 2}, {"a.example": 2}]


def test_req_to_two_reps() -> None:
    with serving("you_said.py", ANY) as (one, port), serving("you_said.py", ANY) as (two, other):
        out = run("ask_two.py", f"{one}:{port}", f"{two}:{other}")
    assert out.splitlines() == ["you said: hi there"] * 2


def test_pub_and_sub() -> None:
    with serving("overhear.py", ANY, said_before_end=["Hello, world!"]) as (host, port):
        assert run("publish.py", f"{host}:{port}") == ""


def test_push_and_pull() -> None:
    lines = [f"line {number}" for number in range(10)]
    with serving("pull_logs.py", ANY, said_before_end=lines) as (host, port):
        assert run("push_logs.py", "10", f"{host}:{port}") == ""


def test_a_request_under_a_timeout() -> None:
    with serving("you_said.py", ANY) as (host, port):
        out = run("only_hope.py", f"{host}:{port}")
    assert out.splitlines() == [
        "you said: help me! you're my only hope!",
        "you said: anybody?",
    ]
    with socket.create_server(("127.0.0.1", 0)) as silent:
        out = run("only_hope.py", f"tcp://127.0.0.1:{silent.getsockname()[1]}", "0.05")
    assert out.splitlines() == ["cleaning up: not finished within 0.05 s"] * 2


@pytest.mark.parametrize("name", ["handle_request.py", "loop_by_hand.py"])
def test_zmq_loop_answers_others_meanwhile(name: str) -> None:
    # One after the other, a hundred of them would take longer than PROGRAM_S.
    with serving(name, ANY, "1") as (host, port), zmq.Context() as context, ExitStack() as stack:
        clients = [stack.enter_context(context.socket(zmq.REQ)) for _ in range(100)]
        for number, client in enumerate(clients):
            client.set(zmq.LINGER, 0)
            client.set(zmq.RCVTIMEO, PROGRAM_S * 1000)
            client.connect(f"{host}:{port}")
            client.send(b"%d " % number)
        for number, client in enumerate(clients):
            assert client.recv() == b"%d %d " % (number, number)
