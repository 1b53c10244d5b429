"""PEP 3333 over real connections: framing, `write`, errors, and applications that misbehave."""

from __future__ import annotations

import http.client
import io
import shutil
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any
from wsgiref.validate import validator

import pytest
from werkzeug.exceptions import NotFound
from werkzeug.routing import Map, Rule
from werkzeug.wrappers import Request, Response
from wsgi.running import get, running

from verdant import Event, run_in_worker, sleep
from verdant.net import connect
from verdant.wsgi import wsgi_handler

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

CLOSE = b"Connection: close"


def plain(environ: Any, start_response: Any) -> Iterable[bytes]:
    body = environ["wsgi.input"].read() or b"hello"
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]


def heads(got: bytes) -> int:
    return got.count(b"HTTP/1.1 ")


# What the standard's own checker finds nothing to say against.


@pytest.mark.parametrize(
    "request_bytes",
    [
        get(b"/a%20b?c=d", CLOSE),
        get(b"/", CLOSE, b"Content-Length: 5", method=b"POST") + b"abcde",
        get(b"/", CLOSE, b"Transfer-Encoding: chunked", method=b"PUT") + b"5\r\nabcde\r\n0\r\n\r\n",
        get(b"/", CLOSE, method=b"HEAD"),
        get(b"*", CLOSE, method=b"OPTIONS"),
        b"GET / HTTP/1.0\r\n\r\n",
    ],
)
def test_the_validator_is_content(request_bytes: bytes) -> None:
    seen: list[dict[str, Any]] = []

    @validator
    def app(environ: Any, start_response: Any) -> Iterator[bytes]:
        seen.append(environ)
        file = environ["wsgi.input"]
        body = file.readline(3) + file.read(1) + b"".join(file.readlines())
        environ["wsgi.errors"].flush()
        start_response("200 OK", [("Content-Type", "text/plain")])
        yield b"<"
        yield body
        yield b">"

    errors = io.StringIO()
    with running(app, errors=errors) as server:
        got = server.say(request_bytes)
    assert got.startswith(b"HTTP/1.1 200 OK\r\n"), got
    assert errors.getvalue() == ""
    assert seen


# Framing.


def test_a_body_of_one_piece_gets_its_length_and_one_send() -> None:
    def app(_: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [])
        return [b"hello"]

    with running(app) as server:
        got = server.say(get() + get(version=b"1.0"))
    assert got.count(b"Content-Length: 5\r\n") == 2
    assert b"chunked" not in got
    assert heads(got) == 2
    assert b"Date: " in got


@pytest.mark.parametrize("version", [b"1.1", b"1.0"])
def test_a_body_of_unknown_length(version: bytes) -> None:
    def app(_: Any, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [])
        yield b""
        yield b"one"
        yield b""
        yield b"two" * 100_000

    with running(app) as server:
        got = server.say(get(version=version) * 2)
    if version == b"1.1":
        assert heads(got) == 2
        assert got.endswith(b"493e0\r\n" + b"two" * 100_000 + b"\r\n0\r\n\r\n")
    else:
        assert heads(got) == 1
        assert got.endswith(b"\r\n\r\none" + b"two" * 100_000)
        assert b"Connection: close" in got


def test_an_old_client_keeps_its_connection_when_the_length_is_known() -> None:
    with running(plain) as server:
        got = server.say(get(b"/", b"Connection: keep-alive", version=b"1.0") * 3)
    assert got.count(b"Connection: keep-alive\r\n") == 3


def test_pieces_are_sent_as_they_come() -> None:
    go_on = Event()

    def app(_: Any, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [])
        yield b"first"
        go_on.wait()
        yield b"second"

    with running(app) as server:
        stream = connect(("127.0.0.1", server.port))
        stream.sendall(get())
        got = b""
        while b"first" not in got:
            got += stream.recv(1000)
        assert b"second" not in got
        go_on.set()
        while not got.endswith(b"0\r\n\r\n"):
            got += stream.recv(1000)
        stream.close()


@pytest.mark.parametrize(
    ("status", "method"),
    [("204 No Content", b"GET"), ("304 Not Modified", b"GET"), ("200 OK", b"HEAD")],
)
@pytest.mark.parametrize("kind", ["list", "generator", "write", "empty"])
def test_answers_without_a_body_have_none(status: str, method: bytes, kind: str) -> None:
    def app(_: Any, start_response: Any) -> Any:
        write = start_response(status, [("Content-Length", "9"), ("X-A", "b")])
        if kind == "write":
            write(b"forbidden")
            return []
        pieces: list[bytes] = [] if kind == "empty" else [b"forbidden"]
        return pieces if kind != "generator" else (piece for piece in pieces)

    with running(app) as server:
        got = server.say(get(method=method) * 2)
    assert heads(got) == 2
    assert b"forbidden" not in got
    assert b"chunked" not in got
    assert (b"Content-Length: 9" in got) == (method == b"HEAD")


def test_write_sends_at_once_and_may_be_mixed() -> None:
    def app(_: Any, start_response: Any) -> list[bytes]:
        write = start_response("200 OK", [])
        write(b"")
        write(b"a")
        write(b"b")
        return [b"c", b"d"]

    with running(app) as server:
        got = server.say(get(b"/", CLOSE))
    assert got.endswith(b"\r\n\r\n1\r\na\r\n1\r\nb\r\n1\r\nc\r\n1\r\nd\r\n0\r\n\r\n")


@pytest.mark.parametrize("kind", ["list", "generator", "write"])
def test_more_than_the_content_length_is_cut_and_the_next_answer_is_whole(
    kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    def app(_: Any, start_response: Any) -> Any:
        write = start_response("200 OK", [("Content-Length", "3")])
        if kind == "write":
            write(b"abcdef")
            return []
        return [b"abcdef"] if kind == "list" else iter([b"ab", b"cdef", b"g"])

    with running(app) as server:
        got = server.say(get() * 2)
    assert heads(got) == 2
    assert got.endswith(b"\r\n\r\nabc")
    assert "more than its Content-Length" in caplog.text


@pytest.mark.parametrize("kind", ["list", "generator"])
def test_less_than_the_content_length_ends_the_connection(
    kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    def app(_: Any, start_response: Any) -> Any:
        start_response("200 OK", [("Content-Length", "10")])
        return [b"abc"] if kind == "list" else iter([b"abc"])

    with running(app) as server:
        got = server.say(get() * 2)
    assert heads(got) == 1
    assert got.endswith(b"\r\n\r\nabc")
    assert "7 bytes less" in caplog.text


def test_an_application_may_end_the_connection() -> None:
    def app(_: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [("Connection", "close")])
        return [b""]

    with running(app) as server:
        got = server.say(get() * 2)
    assert heads(got) == 1
    assert got.count(b"Connection: close") == 1


# start_response.


def test_a_second_start_response_needs_exc_info() -> None:
    def app(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [("X-First", "1")])
        try:
            raise KeyError("later")
        except KeyError:
            info = sys.exc_info() if environ["PATH_INFO"] == "/info" else None
            start_response("503 Busy", [("X-Second", "2")], info)
        return [b"sorry"]

    with running(app) as server:
        got = server.say(get(b"/info", CLOSE))
        assert got.startswith(b"HTTP/1.1 503 Busy\r\n")
        assert b"X-Second" in got
        assert b"X-First" not in got
        assert server.say(get(b"/", CLOSE)).startswith(b"HTTP/1.1 500 ")


def test_exc_info_after_the_head_raises_and_cuts(caplog: pytest.LogCaptureFixture) -> None:
    def app(_: Any, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [])
        yield b"begun"
        try:
            raise KeyError("too late")
        except KeyError:
            start_response("500 Oops", [], sys.exc_info())
        yield b"never"

    with running(app) as server:
        got = server.say(get() * 2)
    assert heads(got) == 1
    assert b"never" not in got
    assert not got.endswith(b"0\r\n\r\n")
    assert "too late" in caplog.text


@pytest.mark.parametrize(
    "answer",
    [
        lambda start: [b"no start_response"],
        lambda start: start("OK", []) and [],
        lambda start: start("200 OK", [("A\r\nB", "c")]) and [],
        lambda start: start("200 OK", [("A", "b\r\nSet-Cookie: c")]) and [],
        lambda start: start("200 OK", [("Transfer-Encoding", "chunked")]) and [],
        lambda start: start("200 OK", [("Content-Length", "1"), ("Content-Length", "2")]) and [],
        lambda start: start("200 OK", [("A", 1)]) and [],
        lambda start: start("200 OK", []) and ["text"],
        lambda start: start("200 OK", []) and iter(["text"]),
        lambda start: start("200 OK", []) and None,
        lambda start: 1 / 0,
    ],
)
def test_what_breaks_the_standard_is_a_500(answer: Any, caplog: pytest.LogCaptureFixture) -> None:
    with running(lambda _, start_response: answer(start_response)) as server:
        got = server.say(get())
    assert got.startswith(b"HTTP/1.1 500 "), got
    assert b"Traceback" not in got
    assert b"Set-Cookie" not in got
    assert "the application failed at /" in caplog.text


def test_an_application_that_cannot_reach_its_database_is_a_500() -> None:
    def app(_: Any, __: Any) -> list[bytes]:
        raise ConnectionRefusedError("no database")

    with running(app) as server:
        assert server.say(get()).startswith(b"HTTP/1.1 500 ")


@pytest.mark.parametrize("version", [b"1.0", b"1.1"])
def test_a_cut_answer_is_no_whole_one(version: bytes) -> None:
    def app(_: Any, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [])
        yield b"half of it"
        raise RuntimeError("a bug")

    def ask(port: int) -> bytes:
        client = http.client.HTTPConnection("127.0.0.1", port)
        client._http_vsn_str = f"HTTP/{version.decode()}"  # type: ignore[attr-defined]
        client._http_vsn = int(version.replace(b".", b""))  # type: ignore[attr-defined]
        client.request("GET", "/")
        answer = client.getresponse()
        try:
            return answer.read()
        finally:
            answer.close()
            client.close()

    with (
        running(app) as server,
        pytest.raises((http.client.IncompleteRead, ConnectionResetError)),
    ):
        run_in_worker(ask, server.port)


# Bodies.


def test_continue_is_sent_only_when_the_body_is_wanted() -> None:
    def app(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [])
        return [environ["wsgi.input"].read() if environ["PATH_INFO"] == "/read" else b"unread"]

    with running(app) as server:
        expect = (b"Expect: 100-continue", b"Content-Length: 3")
        stream = connect(("127.0.0.1", server.port))
        stream.sendall(get(b"/read", *expect, method=b"POST"))
        assert stream.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
        stream.sendall(b"abc")
        assert stream.recv(1000).endswith(b"\r\n\r\nabc")
        stream.close()
        got = server.say(get(b"/", *expect, method=b"POST"))
    assert got.startswith(b"HTTP/1.1 200 OK")
    assert b"Connection: close" in got


def test_a_body_that_nobody_reads_is_not_the_next_request() -> None:
    def app(_: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [])
        return [b"unread"]

    smuggled = get(b"/smuggled")
    sized = get(b"/", b"Content-Length: %d" % len(smuggled), method=b"POST") + smuggled
    chunked = get(b"/", b"Transfer-Encoding: chunked", method=b"POST")
    chunked += b"%x\r\n%b\r\n0\r\n\r\n" % (len(smuggled), smuggled)
    with running(app) as server:
        assert heads(server.say(sized + chunked + get())) == 3


def test_bad_chunks_and_clients_that_leave(caplog: pytest.LogCaptureFixture) -> None:
    with running(plain) as server:
        chunked = get(b"/", b"Transfer-Encoding: chunked", method=b"POST")
        assert server.say(chunked + b"zz\r\n").startswith(b"HTTP/1.1 400 ")
        assert server.say(get(b"/", b"Content-Length: 10", method=b"POST") + b"abc") == b""
    assert not caplog.records


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (get(b"/" + b"a" * 100), b"414"),
        (get(b"/", b"X: " + b"a" * 1000), b"431"),
        (get(b"/", b"Content-Length: 11", method=b"POST") + b"x" * 11, b"413"),
        (
            get(b"/", b"Transfer-Encoding: chunked", method=b"POST")
            + b"b\r\n"
            + b"x" * 11
            + b"\r\n",
            b"413",
        ),
        (b"nonsense\r\n\r\n", b"400"),
    ],
)
def test_limits(request_bytes: bytes, status: bytes) -> None:
    options = {"url_bytes_max": 50, "head_bytes_max": 500, "body_bytes_max": 10}
    with running(plain, **options) as server:
        assert server.say(request_bytes).startswith(b"HTTP/1.1 " + status)
        fine = get(b"/", b"Content-Length: 10", method=b"POST") + b"x" * 10
        assert heads(server.say(fine * 2)) == 2
    with pytest.raises(ValueError, match="at the most"):
        wsgi_handler(plain, url_bytes_max=1_000_000)


def test_the_application_is_closed_when_the_client_leaves() -> None:
    closed = Event()

    class Endless:
        def __iter__(self) -> Iterator[bytes]:
            try:
                while True:
                    yield b"x" * 10_000
                    sleep(0)
            finally:
                generator_closed.set()

        def close(self) -> None:
            closed.set()

    generator_closed = Event()

    def app(_: Any, start_response: Any) -> Any:
        start_response("200 OK", [])
        return Endless()

    with running(app) as server:
        stream = connect(("127.0.0.1", server.port))
        stream.sendall(get())
        assert stream.recv(100)
        stream.close()
        assert closed.wait(20)


@pytest.mark.parametrize("fails", [True, False])
def test_close_is_called_once_whatever_happens(fails: bool) -> None:
    calls: list[str] = []

    class Body(list[bytes]):
        def close(self) -> None:
            calls.append("closed")

        def __iter__(self) -> Iterator[bytes]:
            yield b"a"
            if fails:
                raise RuntimeError("a bug")

    def app(_: Any, start_response: Any) -> Any:
        start_response("200 OK", [])
        return Body()

    with running(app) as server:
        server.say(get())
    assert calls == ["closed"]


# Applications and clients of another make.


class Site:
    """A small site in werkzeug: routes, forms, uploads, streams, redirects."""

    rules = Map(
        [
            Rule("/", endpoint="hello"),
            Rule("/form", endpoint="form", methods=["POST"]),
            Rule("/count/<int:number>", endpoint="count"),
            Rule("/é", endpoint="accent"),
            Rule("/away", endpoint="away"),
        ]
    )

    def __call__(self, environ: Any, start_response: Any) -> Any:
        request = Request(environ)
        try:
            endpoint, values = self.rules.bind_to_environ(environ).match()
            response = getattr(self, endpoint)(request, **values)
            # Uploads that it put on the disk.
            response.call_on_close(request.close)
        except NotFound as exc:
            response = exc
        return response(environ, start_response)

    def hello(self, request: Request) -> Response:
        return Response(f"hello {request.remote_addr} {request.url}")

    def accent(self, request: Request) -> Response:
        return Response(f"{request.path} {request.args.get('q')}")

    def form(self, request: Request) -> Response:
        upload = request.files.get("file")
        size = len(upload.read()) if upload else 0
        return Response(f"{sorted(request.form.items())} {size}")

    def count(self, _: Request, number: int) -> Response:
        return Response((f"{n}\n" for n in range(number)), content_type="text/plain")

    def away(self, request: Request) -> Response:
        response = Response(status=303, headers={"Location": request.host_url})
        response.set_cookie("a", "b")
        response.set_cookie("c", "d")
        return response


def test_werkzeug_and_http_client() -> None:
    def ask(port: int) -> None:
        client = http.client.HTTPConnection("127.0.0.1", port)

        def fetch(method: str, path: str, **options: Any) -> tuple[int, str, Any]:
            client.request(method, path, **options)
            answer = client.getresponse()
            return answer.status, answer.read().decode(), answer

        assert fetch("GET", "/")[:2] == (200, f"hello 127.0.0.1 http://127.0.0.1:{port}/")
        socket = client.sock
        assert fetch("GET", "/%C3%A9?q=%C3%A9")[1] == "/é é"
        assert fetch("GET", "/nowhere")[0] == 404
        assert fetch("GET", "/count/1000")[1] == "".join(f"{n}\n" for n in range(1000))
        fields = {"Content-Type": "application/x-www-form-urlencoded"}
        assert fetch("POST", "/form", body="b=2&a=1", headers=fields)[1] == (
            "[('a', '1'), ('b', '2')] 0"
        )
        pieces = iter([b"a=", b"1"])
        chunked = fetch("POST", "/form", body=pieces, headers=fields, encode_chunked=True)
        assert chunked[1] == "[('a', '1')] 0"
        status, _, answer = fetch("GET", "/away")
        assert status == 303
        assert answer.headers.get_all("Set-Cookie") == ["a=b; Path=/", "c=d; Path=/"]
        assert fetch("HEAD", "/")[:2] == (200, "")
        # All of it over one connection.
        assert client.sock is socket
        client.close()

    with running(Site()) as server:
        run_in_worker(ask, server.port)


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_curl_uploads_and_expects(tmp_path: Any) -> None:
    upload = tmp_path / "upload"
    upload.write_bytes(b"x" * 2_000_000)

    def curl(*arguments: str) -> str:
        command = ["curl", "-sS", "--max-time", "30", *arguments]
        done = run_in_worker(
            lambda: subprocess.run(command, capture_output=True, text=True, timeout=40, check=True)
        )
        return done.stdout

    with running(Site()) as server:
        url = f"http://127.0.0.1:{server.port}"
        assert curl("-F", "a=1", "-F", f"file=@{upload}", f"{url}/form") == "[('a', '1')] 2000000"
        assert curl("-L", f"{url}/away").startswith("hello 127.0.0.1")
        assert curl("-H", "Expect: 100-continue", "-d", "a=1", f"{url}/form") == "[('a', '1')] 0"
        both = curl("--http1.0", f"{url}/count/3", "--next", "-sS", f"{url}/count/2")
        assert both == "0\n1\n2\n0\n1\n"


def test_many_requests_at_once() -> None:
    def app(environ: Any, start_response: Any) -> Iterable[bytes]:
        sleep(0)
        body = environ["wsgi.input"].read()
        start_response("200 OK", [])
        return [environ["PATH_INFO"].encode(), body]

    def ask(port: int, number: int, found: list[bytes]) -> None:
        client = http.client.HTTPConnection("127.0.0.1", port)
        for turn in range(20):
            client.request("POST", f"/{number}-{turn}-", body=b"%d" % number)
            found.append(client.getresponse().read())
        client.close()

    with running(app) as server:
        found: list[list[bytes]] = [[] for _ in range(10)]
        threads = [
            threading.Thread(target=ask, args=(server.port, number, found[number]))
            for number in range(10)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            run_in_worker(thread.join)
    for number in range(10):
        assert found[number] == [b"/%d-%d-%d" % (number, turn, number) for turn in range(20)]
