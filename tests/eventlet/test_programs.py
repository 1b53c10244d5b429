"""Eventlet's documented programs, each driven by real clients, on both sides of the move."""

from __future__ import annotations

import http.client
import signal
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from eventlet_side import Program

Start = Callable[..., Program]

WAIT_S = 20
AT_ONCE = 5

PAGES = {
    "/": "{base}/a {base}/b http://elsewhere.invalid/x",
    "/a": "{base}/b {base}/c {base}/a",
    "/b": "no links",
    "/c": "{base}/ {base}/d",
    "/d": "",
}


class Site(ThreadingHTTPServer):
    """A site in native threads; some pages wait until several are asked for at once."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.together = threading.Barrier(AT_ONCE, timeout=WAIT_S)
        self.base = f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Any

    def do_GET(self) -> None:
        if self.path.startswith(("/together", "/feed")):
            # A client that fetches one after the other would never get here five times.
            self.server.together.wait()
        if self.path.startswith("/feed"):
            body = f"<rss><channel><title>Feed {self.path[-1]}</title></channel></rss>"
        else:
            body = PAGES.get(self.path, f"page {self.path}").format(base=self.server.base)
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the stdlib's
        pass


@pytest.fixture
def site() -> Iterator[Site]:
    site = Site()
    thread = threading.Thread(target=site.serve_forever, args=(0.01,))
    thread.start()
    yield site
    site.shutdown()
    thread.join()
    site.server_close()


class Talk:
    """A client that sends and expects lines."""

    def __init__(self, port: int) -> None:
        self.sock = socket.create_connection(("127.0.0.1", port), WAIT_S)
        self.file = self.sock.makefile("rw")

    def say(self, text: str) -> None:
        self.file.write(text + "\n")
        self.file.flush()

    def hear(self) -> str:
        return self.file.readline().rstrip("\n")

    def close(self) -> None:
        self.file.close()
        self.sock.close()


@pytest.fixture
def talk() -> Iterator[Callable[[int], Talk]]:
    made: list[Talk] = []

    def connect(port: int) -> Talk:
        made.append(Talk(port))
        return made[-1]

    yield connect
    for each in made:
        each.close()


def test_web_crawler(start: Start, site: Site) -> None:
    urls = [f"{site.base}/together/{number}" for number in range(AT_ONCE)]
    assert start("web_crawler", *urls).output() == [
        f"{number} 16 page /together/{number}" for number in range(AT_ONCE)
    ]


def test_patched_crawler(start: Start, site: Site) -> None:
    urls = [f"{site.base}/together/{number}" for number in range(AT_ONCE)]
    assert start("patched_crawler", *urls).output() == [
        *(f"{number} 16 page /together/{number}" for number in range(AT_ONCE)),
        "[True, True, True, True, True]",
        "True",
    ]


def test_socket_connect(start: Start, site: Site) -> None:
    places = [f"{host}:{site.server_port}" for host in ["localhost", "127.0.0.1"] * 2]
    places.append(f"localhost:{site.server_port}")
    output = start("socket_connect", *places).output()
    assert output == [f"{place.partition(':')[0]} 200" for place in places]


@pytest.mark.parametrize("name", ["recursive_crawler", "producer_consumer"])
def test_crawlers(name: str, start: Start, site: Site) -> None:
    assert start(name, site.base).output() == ["/", "/", "/a", "/b", "/c", "/d"]


def test_secure_fetch(start: Start, site: Site, certificate: tuple[str, str]) -> None:
    cert, key = certificate
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    site.socket = context.wrap_socket(site.socket, server_side=True, do_handshake_on_connect=False)
    urls = [f"https://localhost:{site.server_port}/together/{n}" for n in range(AT_ONCE)]
    output = start("secure_fetch", cert, *urls).output()
    assert output == [f"page /together/{number}" for number in range(AT_ONCE)]


@pytest.fixture
def certificate(tmp_path: Any) -> tuple[str, str]:
    key, cert = str(tmp_path / "key.pem"), str(tmp_path / "cert.pem")
    request = "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost"
    names = ["-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", cert]
    subprocess.run(["openssl", *request.split(), *names], check=True, capture_output=True)
    return cert, key


def test_echo_server(start: Start, talk: Callable[[int], Talk]) -> None:
    program = start("echo_server")
    port = program.port()
    clients = [talk(port) for _ in range(3)]
    for number, client in enumerate(clients):
        client.say(f"hello {number}")
    for number, client in reversed(list(enumerate(clients))):
        assert client.hear() == f"hello {number}"
    clients[0].close()
    assert program.until("client left")
    program.process.send_signal(signal.SIGINT)
    assert program.until("bye")


def test_chat_server(start: Start, talk: Callable[[int], Talk]) -> None:
    program = start("chat_server")
    port = program.port()
    people = []
    for _ in range(3):
        people.append(talk(port))
        program.until("participant joined")
    people[0].say("hi all")
    assert [person.hear() for person in people[1:]] == ["hi all", "hi all"]
    people[2].say("hi you")
    assert [person.hear() for person in people[:2]] == ["hi you", "hi you"]
    people[1].close()
    assert program.until("participant left")
    people[0].say("gone?")
    assert people[2].hear() == "gone?"


def test_port_forwarder(start: Start, site: Site) -> None:
    program = start("port_forwarder", site.server_port)
    port = program.port()
    for number in range(2):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=WAIT_S)
        connection.request("GET", f"/{number}", headers={"Connection": "close"})
        assert connection.getresponse().read() == f"page /{number}".encode()
        connection.close()
        assert program.until("connection closed")


def test_wsgi_server(start: Start) -> None:
    program = start("wsgi_server")
    port = program.port()
    assert f"wsgi starting up on http://127.0.0.1:{port}" in program.until("starting")
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=WAIT_S)

    def get(method: str, path: str, body: Any = None) -> tuple[int, bytes]:
        connection.request(method, path, body)
        answer = connection.getresponse()
        return answer.status, answer.read()

    assert get("GET", "/") == (200, b"Hello, World!\r\n")
    line = program.until("GET / HTTP/1.1")
    assert line.startswith("127.0.0.1 - - [")
    assert '" 200 ' in line
    local = connection.sock.getsockname()
    assert get("GET", "/stream") == (200, b"one two three")
    assert get("POST", "/echo", b"x" * 100_000) == (200, b"x" * 100_000)
    assert get("POST", "/echo", iter([b"in ", b"chunks"])) == (200, b"in chunks")
    assert get("GET", "/nowhere") == (404, b"Not Found\r\n")
    assert get("GET", "/hook") == (200, b"given")
    assert program.until("after") == "after /hook"
    # One connection for all of it.
    assert connection.sock.getsockname() == local
    connection.close()
    program.process.send_signal(signal.SIGINT)
    assert program.until("wsgi exited")
    assert program.output() == []


@pytest.mark.differs("in Eventlet a library of the library, urllib.request here, is not green")
def test_feed_scraper(start: Start, site: Site) -> None:
    program = start("feed_scraper")
    connection = http.client.HTTPConnection("127.0.0.1", program.port(), timeout=WAIT_S)
    urls = "".join(f"{site.base}/feed/{number}\n" for number in range(AT_ONCE))
    connection.request("POST", "/", urls)
    answer = connection.getresponse()
    assert answer.read().decode().splitlines() == [f"Feed {number}" for number in range(AT_ONCE)]
    connection.request("GET", "/")
    answer = connection.getresponse()
    assert (answer.status, answer.read()) == (403, b"")
    connection.close()


def test_websocket_server(start: Start) -> None:
    client = pytest.importorskip("websockets.sync.client")
    program = start("websocket_server")
    port = program.port()
    with client.connect(f"ws://127.0.0.1:{port}/echo", open_timeout=WAIT_S) as ws:
        for message in ("text", "", "ünïcode", b"bytes", "x" * 100_000):
            ws.send(message)
            assert ws.recv(timeout=WAIT_S) == message
    with client.connect(f"ws://127.0.0.1:{port}/data") as ws:
        assert list(ws) == [f"0 {n} {n * n}\n" for n in range(10)]
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=WAIT_S)
    connection.request("GET", "/")
    assert connection.getresponse().read() == b"<html>a page</html>"
    connection.request("GET", "/echo")
    answer = connection.getresponse()
    answer.read()
    assert answer.status in (400, 426)
    connection.close()


def test_websocket_chat(start: Start) -> None:
    client = pytest.importorskip("websockets.sync.client")
    program = start("websocket_chat")
    url = f"ws://127.0.0.1:{program.port()}/chat"
    with client.connect(url, subprotocols=["other", "chat"]) as one, client.connect(url) as two:
        assert one.recv(timeout=WAIT_S) == "protocol chat"
        assert two.recv(timeout=WAIT_S) == "protocol None"
        one.send("hello")
        assert [ws.recv(timeout=WAIT_S) for ws in (one, two)] == ["hello", "hello"]
        two.close()
        assert program.until("left") == "left 1"
        one.send("alone")
        assert one.recv(timeout=WAIT_S) == "alone"
    assert program.until("left") == "left 0"


def test_zmq_chat(start: Start, talk: Callable[[int], Talk], tmp_path: Any) -> None:
    pytest.importorskip("zmq")
    program = start("zmq_chat", tmp_path / "chat")
    port = program.port()
    one, two = talk(port), talk(port)
    # Subscriptions take their time: say it until both have heard it.
    heard = [False, False]

    def listen(person: Talk, number: int) -> None:
        while "probe" not in person.hear():
            pass
        heard[number] = True

    listeners = [threading.Thread(target=listen, args=each) for each in ((one, 0), (two, 1))]
    for listener in listeners:
        listener.start()
    while not all(heard):
        two.say("probe")
        for listener in listeners:
            listener.join(0.01)
    one.say("name: Ann")
    one.say("hello")
    for person in (one, two):
        line = person.hear()
        while "probe" in line:
            line = person.hear()
        assert line == "Ann: name: Ann"
        assert person.hear() == "Ann: hello"
    assert program.until("Ann: hello")
    two.close()
    assert program.until("participant left")


def test_distributed_chat(start: Start, tmp_path: Any) -> None:
    client = pytest.importorskip("websockets.sync.client")
    zmq = pytest.importorskip("zmq")
    # The bridge between the servers, as the documentation has it: what comes in goes out to all.
    context = zmq.Context()
    inner, outer = context.socket(zmq.XSUB), context.socket(zmq.XPUB)
    addresses = [f"ipc://{tmp_path}/{name}" for name in ("in", "out")]
    inner.bind(addresses[0])
    outer.bind(addresses[1])
    control_address = "inproc://control"
    control, steering = context.socket(zmq.PAIR), context.socket(zmq.PAIR)
    control.bind(control_address)
    steering.connect(control_address)
    bridge = threading.Thread(target=zmq.proxy_steerable, args=(inner, outer, None, control))
    bridge.start()
    try:
        ports = [start("distributed_chat", *addresses).port() for _ in range(2)]
        with (
            client.connect(f"ws://127.0.0.1:{ports[0]}/") as ann,
            client.connect(f"ws://127.0.0.1:{ports[1]}/") as bob,
        ):
            for ws, name in ((ann, "Ann"), (bob, "Bob")):
                assert ws.recv(timeout=WAIT_S) == "connected"
                ws.send(f"name:{name}")
                assert ws.recv(timeout=WAIT_S) == "named"
            heard = ""
            # Subscriptions take their time.
            while heard != "Ann says: hello":
                ann.send("hello")
                try:
                    heard = bob.recv(timeout=0.05)
                except TimeoutError:
                    continue
            assert ann.recv(timeout=WAIT_S) == "you said: hello"
    finally:
        steering.send(b"TERMINATE")
        bridge.join()
        for each in (inner, outer, control, steering):
            each.close(0)
        context.term()
