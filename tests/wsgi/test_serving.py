"""The server around applications: stopping, time limits, TLS, the access log."""

from __future__ import annotations

import http.client
import ssl
from typing import TYPE_CHECKING, Any

import pytest
from net.certificates import certificates
from wsgi.running import get, running

from verdant import Event, Timeout, run_in_worker, sleep, spawn
from verdant.net import bound_address, connect, listen
from verdant.wsgi import server as serve_wsgi

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


def hello(environ: Any, start_response: Any) -> Iterable[bytes]:
    start_response("200 OK", [])
    return [f"{environ['wsgi.url_scheme']} {environ.get('HTTPS', 'off')}".encode()]


def test_the_one_liner_serves_until_it_is_cancelled() -> None:
    listener = listen("127.0.0.1:0")
    address: Any = bound_address(listener)
    serving = spawn(lambda: serve_wsgi(listener, hello, grace_s=5))
    with Timeout(30):
        stream = connect(("127.0.0.1", address.port))
        stream.sendall(get())
        assert stream.recv(1000).startswith(b"HTTP/1.1 200 OK")
        serving.cancel()
        # The idle connection ends at once, without the grace.
        assert stream.recv(1000) == b""
        serving.join()
        stream.close()
    with pytest.raises(TypeError, match="unexpected"):
        serve_wsgi(listener, hello, no_such_option=1)


def test_requests_under_way_finish_and_say_close() -> None:
    begun, go_on = Event(), Event()

    def app(_: Any, start_response: Any) -> Iterator[bytes]:
        begun.set()
        go_on.wait()
        start_response("200 OK", [("Content-Length", "4")])
        yield b"done"

    with running(app) as server:
        asked = spawn(server.say, get() + get(), name="client")
        begun.wait()
        stopped = spawn(server.server.stop, 30)
        for _ in range(10):
            sleep(0)
        go_on.set()
        got = asked.wait()
        assert stopped.wait() == 0
    assert got.count(b"HTTP/1.1 200 OK") == 1
    assert b"Connection: close" in got
    assert got.endswith(b"done")


def test_what_does_not_finish_is_broken_and_cleaned_up() -> None:
    closed: list[str] = []

    def app(_: Any, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [])
        try:
            yield b"begun"
            begun.set()
            sleep(1000)
        finally:
            closed.append("closed")

    begun = Event()
    with running(app) as server:
        asked = spawn(server.say, get())
        begun.wait()
        assert server.server.stop(0.01) == 1
        assert not asked.wait().endswith(b"0\r\n\r\n")
    assert closed == ["closed"]


def test_a_request_that_has_arrived_is_answered_when_the_server_stops() -> None:
    with running(hello) as server:
        stream = connect(("127.0.0.1", server.port))
        stream.sendall(get())
        assert stream.recv(1000)
        # In the kernel's buffer when the server stops, without a turn of the hub in between.
        stream.sendall(get())
        spawn(server.server.stop, 10)
        got = b""
        while piece := stream.recv(1000):
            got += piece
        stream.close()
    assert got.startswith(b"HTTP/1.1 200 OK")
    assert b"Connection: close" in got


@pytest.mark.parametrize(
    ("option", "data", "answer"),
    [
        ("idle_s_max", b"", b""),
        ("head_s_max", b"GET / HT", b"HTTP/1.1 408 "),
        ("stalled_s_max", get(b"/read", b"Content-Length: 9", method=b"PUT"), b"HTTP/1.1 408 "),
    ],
)
def test_waits_for_a_client_have_bounds(option: str, data: bytes, answer: bytes) -> None:
    def app(environ: Any, start_response: Any) -> list[bytes]:
        body = environ["wsgi.input"].read()
        start_response("200 OK", [])
        return [body]

    options: dict[str, Any] = {option: 0.05}
    with running(app, **options) as server:
        got = server.say(data, finish=False)
    assert got[: len(answer)] == answer
    assert bool(got) == bool(answer)


def test_a_client_that_does_not_read_is_let_go() -> None:
    closed = Event()

    def app(_: Any, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [])
        try:
            while True:
                yield b"x" * 1_000_000
        finally:
            closed.set()

    with running(app, stalled_s_max=0.05) as server:
        stream = connect(("127.0.0.1", server.port))
        stream.sendall(get())
        assert closed.wait(30)
        stream.close()


def test_connections_end_after_one_answer_when_told_so() -> None:
    with running(hello, keep_alive=False) as server:
        got = server.say(get() * 2)
    assert got.count(b"HTTP/1.1") == 1
    assert b"Connection: close" in got


def test_over_tls() -> None:
    def ask(port: int) -> bytes:
        context = ssl.create_default_context(cafile=certificates().ca)
        client = http.client.HTTPSConnection("localhost", port, context=context)
        found = b""
        for _ in range(3):
            client.request("GET", "/")
            found = client.getresponse().read()
        client.close()
        return found

    with running(hello, tls=certificates().server_context()) as server:
        assert run_in_worker(ask, server.port) == b"https on"


def test_the_access_log_has_a_line_for_each() -> None:
    lines: list[str] = []

    def app(environ: Any, start_response: Any) -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/fail":
            raise RuntimeError("a bug")
        return hello(environ, start_response)

    with running(app, log=lines.append, body_bytes_max=5) as server:
        server.say(get(b"/a?b") + get(b"/fail"))
        server.say(get(b"/long", b"Content-Length: 6", method=b"POST"))
    assert [line.split('"')[1:] for line in lines] == [
        ["GET /a?b HTTP/1.1", lines[0].split('"')[2]],
        ["GET /fail HTTP/1.1", lines[1].split('"')[2]],
        ["POST /long HTTP/1.1", lines[2].split('"')[2]],
    ]
    assert [line.split('"')[2].split()[0] for line in lines] == ["200", "500", "413"]


def test_an_access_log_that_fails_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    def log(_: str) -> None:
        raise OSError("no space left")

    with running(hello, log=log) as server:
        assert server.say(get() * 3).count(b"HTTP/1.1 200") == 3
    assert caplog.text.count("later failures are not told") == 1


def test_variables_of_the_caller() -> None:
    def app(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [])
        return [environ["SCRIPT_NAME"].encode()]

    with running(app, environ={"SCRIPT_NAME": "/app"}) as server:
        assert server.say(get()).endswith(b"/app")


def test_a_client_that_repeats_itself_gets_a_fresh_environ() -> None:
    def app(environ: Any, start_response: Any) -> list[bytes]:
        seen = environ.setdefault("test.seen", [])
        seen.append(environ["wsgi.input"].read())
        start_response("200 OK", [])
        return [b"%d:" % len(seen), *seen]

    post = get(b"/", b"Content-Length: 1", method=b"POST")
    with running(app) as server:
        got = server.say(post + b"a" + post + b"b" + get(b"/other") + post + b"c")
    assert [part.rpartition(b"\r\n")[2] for part in got.split(b"HTTP/1.1")[1:]] == [
        b"1:a",
        b"1:b",
        b"1:",
        b"1:c",
    ]
