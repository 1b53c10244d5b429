from __future__ import annotations

import io
import logging
from typing import TYPE_CHECKING, Any

import pytest

from verdant import eventlet
from verdant.eventlet import wsgi

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator


def hello(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"hello"]


@pytest.fixture
def serve() -> Iterator[Callable[..., int]]:
    running: list[Any] = []

    def start(site: Any, **options: Any) -> int:
        options.setdefault("log", io.StringIO())
        listener = eventlet.listen(("127.0.0.1", 0))
        running.append(eventlet.spawn(wsgi.server, listener, site, **options))
        port: int = listener.getsockname()[1]
        return port

    yield start
    for thread in running:
        thread.kill()


class Client:
    def __init__(self, port: int) -> None:
        self.sock = eventlet.connect(("127.0.0.1", port))
        self.file = self.sock.makefile("rb")

    def ask(self, path: str = "/", fields: str = "", method: str = "GET", body: str = "") -> None:
        head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n"
        self.sock.sendall((head + body).encode())

    def answer(self) -> tuple[int, dict[str, str], bytes]:
        status = int(self.file.readline().split()[1])
        fields = {}
        while line := self.file.readline().strip().decode():
            name, _, value = line.partition(": ")
            fields[name.lower()] = value
        if "content-length" in fields:
            return status, fields, self.file.read(int(fields["content-length"]))
        body = b""
        if fields.get("transfer-encoding") == "chunked":
            while size := int(self.file.readline(), 16):
                body += self.file.read(size)
                self.file.readline()
            self.file.readline()
        else:
            body = self.file.read()
        return status, fields, body

    def close(self) -> None:
        self.file.close()
        self.sock.close()


def get(port: int, *args: Any) -> tuple[int, dict[str, str], bytes]:
    client = Client(port)
    client.ask(*args)
    answer = client.answer()
    client.close()
    return answer


def test_a_request(serve: Callable[..., int]) -> None:
    status, fields, body = get(serve(hello))
    assert (status, body) == (200, b"hello")
    assert fields["content-length"] == "5"
    assert fields["content-type"] == "text/plain"
    assert "date" in fields


def test_the_environ(serve: Callable[..., int]) -> None:
    seen: dict[str, Any] = {}

    def site(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        seen.update(environ)
        return hello(environ, start_response)

    port = serve(site, environ={"mine": "value", "wsgi.multithread": "mine too"})
    get(port, "/a%20b?c=d%20e", "X-Field: one\r\n")
    assert seen["mine"] == "value"
    assert seen["wsgi.multithread"] == "mine too"
    assert seen["PATH_INFO"] == "/a b"
    assert seen["QUERY_STRING"] == "c=d%20e"
    assert seen["HTTP_X_FIELD"] == "one"
    assert seen["REMOTE_ADDR"] == "127.0.0.1"
    assert seen["SERVER_PORT"] == str(port)
    assert seen["eventlet.posthooks"] == []


def test_keepalive(serve: Callable[..., int]) -> None:
    client = Client(serve(hello))
    for _ in range(3):
        client.ask()
        assert client.answer()[2] == b"hello"
    client.close()
    client = Client(serve(hello, keepalive=False))
    client.ask()
    assert client.answer()[1]["connection"] == "close"
    assert client.file.read() == b""
    client.close()


def test_a_client_that_is_silent_too_long(serve: Callable[..., int]) -> None:
    with eventlet.Timeout(10):
        for options in ({"keepalive": 0.05}, {"socket_timeout": 0.05}):
            client = Client(serve(hello, **options))
            client.ask()
            client.answer()
            assert client.file.read() == b""
            client.close()


def test_a_url_that_is_too_long(serve: Callable[..., int]) -> None:
    port = serve(hello, url_length_limit=100)
    assert get(port, "/" + "x" * 200)[0] == 414
    assert get(port, "/short")[0] == 200


def test_clients_are_bounded(serve: Callable[..., int]) -> None:
    gate = eventlet.Event()
    running: list[str] = []

    def site(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        running.append(environ["PATH_INFO"])
        gate.wait()
        return hello(environ, start_response)

    pool = eventlet.GreenPool(1)
    for options in ({"max_size": 2}, {"custom_pool": pool}):
        running.clear()
        gate.reset() if gate.ready() else None
        port = serve(site, keepalive=False, **options)
        clients = [Client(port) for _ in range(3)]
        for client in clients:
            client.ask()
        for _ in range(20):
            eventlet.sleep(0)
        assert len(running) == (1 if options.get("custom_pool") else 2)
        gate.send()
        for client in clients:
            assert client.answer()[2] == b"hello"
            client.close()
    pool.waitall()
    assert pool.free() == 1


def test_a_pool_must_be_one(serve: Callable[..., int]) -> None:
    listener = eventlet.listen(("127.0.0.1", 0))
    with pytest.raises(AttributeError):
        wsgi.server(listener, hello, log=io.StringIO(), custom_pool=object())
    listener.close()


def test_access_lines(serve: Callable[..., int]) -> None:
    file = io.StringIO()
    get(serve(hello, log=file), "/path")
    eventlet.sleep(0)
    lines = [line for line in file.getvalue().splitlines() if "GET" in line]
    assert len(lines) == 1
    assert '"GET /path HTTP/1.1" 200 ' in lines[0]
    assert lines[0].startswith("127.0.0.1 - - [")
    own = io.StringIO()
    get(serve(hello, log=own, log_format="%(status_code)s of %(client_ip)s"))
    eventlet.sleep(0)
    assert "200 of 127.0.0.1" in own.getvalue().splitlines()
    silent = io.StringIO()
    get(serve(hello, log=silent, log_output=False))
    eventlet.sleep(0)
    assert "GET" not in silent.getvalue()


def test_a_logger(serve: Callable[..., int], caplog: Any) -> None:
    with caplog.at_level(logging.INFO, logger="mine"):
        get(serve(hello, log=logging.getLogger("mine")))
        eventlet.sleep(0)
    texts = [record.getMessage() for record in caplog.records if record.name == "mine"]
    assert any("wsgi starting up on http://127.0.0.1:" in text for text in texts)
    assert any('"GET / HTTP/1.1" 200' in text for text in texts)


@pytest.mark.parametrize("kind", ["list", "generator", "failing"])
def test_post_hooks(kind: str, serve: Callable[..., int]) -> None:
    done = eventlet.Event()

    def site(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        def hook(env: dict[str, Any], one: int, *, two: int) -> None:
            done.send((env["PATH_INFO"], one, two))

        environ["eventlet.posthooks"].append((hook, (1,), {"two": 2}))
        if kind == "failing":
            raise RuntimeError("after the hook was set")
        hello(environ, start_response)
        return [b"x", b"y"] if kind == "list" else iter([b"x", b"y"])

    status, _, body = get(serve(site), "/hooked")
    assert status == (500 if kind == "failing" else 200)
    if kind != "failing":
        assert body == b"xy"
    with eventlet.Timeout(10):
        assert done.wait() == ("/hooked", 1, 2)


def test_what_was_returned_is_closed(serve: Callable[..., int]) -> None:
    closed = eventlet.Event()

    class Result:
        def __iter__(self) -> Iterator[bytes]:
            yield b"body"

        def close(self) -> None:
            closed.send("closed")

    def site(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        hello(environ, start_response)
        return Result()

    assert get(serve(site))[2] == b"body"
    with eventlet.Timeout(10):
        assert closed.wait() == "closed"


def test_a_failure_is_a_500_and_the_next_request_is_served(serve: Callable[..., int]) -> None:
    def site(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/bad":
            raise RuntimeError("secret")
        return hello(environ, start_response)

    port = serve(site, debug=False)
    status, _, body = get(port, "/bad")
    assert status == 500
    assert b"secret" not in body
    assert get(port)[0] == 200


@pytest.mark.differs("no traceback is sent to a client, with `debug` neither")
def test_tracebacks_stay_here(serve: Callable[..., int]) -> None:
    def site(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        raise RuntimeError("secret")

    assert b"secret" not in get(serve(site, debug=True))[2]


@pytest.mark.differs("names of fields go out as they are given")
def test_names_of_fields(serve: Callable[..., int]) -> None:
    def site(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", [("x-lower", "y"), ("Content-Length", "0")])
        return [b""]

    client = Client(serve(site))
    client.ask()
    head = b"".join(iter(client.file.readline, b"\r\n"))
    assert b"x-lower: y" in head
    client.close()


def test_killed_it_finishes_what_is_under_way() -> None:
    gate = eventlet.Event()
    begun = eventlet.Event()

    def site(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        begun.send()
        gate.wait()
        return hello(environ, start_response)

    log = io.StringIO()
    listener = eventlet.listen(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    server = eventlet.spawn(wsgi.server, listener, site, log=log)
    idle, busy = Client(port), Client(port)
    eventlet.sleep(0.01)
    busy.ask(fields="Connection: close\r\n")
    begun.wait()
    server.kill()
    assert not server.dead
    assert idle.file.read() == b""
    gate.send()
    assert busy.answer()[2] == b"hello"
    with pytest.raises(BaseException, match=r"^$"), eventlet.Timeout(10):
        server.wait()
    assert "wsgi exited" in log.getvalue()
    with pytest.raises(OSError, match=r"(?i)refused"):
        eventlet.connect(("127.0.0.1", port))
    for client in (idle, busy):
        client.close()
