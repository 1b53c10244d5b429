"""Slow clients are shed by small timeouts, and nobody else notices."""

from __future__ import annotations

import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from typing import TYPE_CHECKING

import pytest
from flows.stack import PATIENCE_S
from flows.test_strictness import Balancer, balancer
from http_memory import statuses

if TYPE_CHECKING:
    from collections.abc import Iterator

SETTINGS = """
head_timeout_s = 1.0
stalled_timeout_s = 2.0
idle_timeout_s = 2.0
body_bytes_per_s_min = 1000
body_bytes_max = 100_000_000
"""
# A drip is well within stalled_timeout_s: only the sum of all waits can shed it.
DRIP_S = 0.25

LARGE = b"x" * 50_000_000


def serve_once(connection: socket.socket) -> None:
    """Answer every request of a connection, one to /large with more than any buffer holds."""
    with connection, connection.makefile("rb") as lines:
        while first := lines.readline():
            length = 0
            while (line := lines.readline()).strip():
                if line.lower().startswith(b"content-length:"):
                    length = int(line.partition(b":")[2])
                elif line.lower().startswith(b"transfer-encoding:"):
                    # No chunked body comes to its end here.
                    length = 1 << 20
            if len(lines.read(length)) < length:
                return
            body = LARGE if b"/large" in first else b"hello"
            try:
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body))
                connection.sendall(body)
            except OSError:
                return


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Balancer]:
    threads: list[threading.Thread] = []

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threads.append(threading.Thread(target=serve_once, args=(connection,)))
            threads[-1].start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        acceptor = threading.Thread(target=accept)
        acceptor.start()
        with balancer(tmp_path_factory.mktemp("slow"), SETTINGS) as made:
            rule = ["proxy", {"backends": [listener.getsockname()[:2]]}, False]
            assert made.manage("PUT", "/hostname/slow.test/", rule) == 200
            yield made
        listener.shutdown(socket.SHUT_RDWR)
        acceptor.join(PATIENCE_S)
    for thread in threads:
        thread.join(PATIENCE_S)


def drip(port: int, begin: bytes, piece: bytes) -> bytes:
    """Send `begin`, then `piece` again and again; what was said until the balancer closed."""
    said = b""
    with socket.create_connection(("127.0.0.1", port), PATIENCE_S) as client:
        client.sendall(begin)
        client.settimeout(DRIP_S)
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            try:
                data = client.recv(65_536)
            except TimeoutError:
                if piece:
                    client.sendall(piece)
                continue
            except ConnectionError:
                return said
            if not data:
                return said
            said += data
    raise AssertionError(f"the balancer never closed, but said {said!r}")


def ask(stack: Balancer, stop: threading.Event) -> int:
    """A client in good order, again and again on one connection; how often it was answered."""
    count = 0
    connection = HTTPConnection("127.0.0.1", stack.public, timeout=PATIENCE_S)
    while not stop.is_set() or not count:
        connection.request("GET", "/", headers={"Host": "slow.test"})
        assert connection.getresponse().read() == b"hello"
        count += 1
        stop.wait(0.02)
    connection.close()
    return count


HOST = b"Host: slow.test\r\n"
POST = b"POST / HTTP/1.1\r\n" + HOST


def test_dripping_clients_are_shed_and_touch_nobody(stack: Balancer) -> None:
    drips = [
        (b"G", b"E"),
        (b"GET / HTTP/1.1\r\nX-A: ", b"a"),
        (b"GET / HTTP/1.1\r\n" + HOST, b"X: a\r\n"),
        (POST + b"Content-Length: 100000\r\n\r\n", b"a"),
        (POST + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\na\r\n"),
        (POST + b"Transfer-Encoding: chunked\r\n\r\n1", b"0"),
        (POST + b"Transfer-Encoding: chunked\r\n\r\n0\r\n", b"a"),
    ] * 8
    stop = threading.Event()
    with ThreadPoolExecutor(len(drips) + 2) as threads:
        others = [threads.submit(ask, stack, stop) for _ in range(2)]
        try:
            ends = list(threads.map(lambda each: drip(stack.public, *each), drips))
        finally:
            stop.set()
        assert all(other.result() for other in others)
    for (begin, _), said in zip(drips, ends, strict=True):
        assert statuses(said) == [408], begin


def test_a_client_that_does_not_read_is_shed(stack: Balancer) -> None:
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.settimeout(PATIENCE_S)
        client.connect(("127.0.0.1", stack.public))
        client.sendall(b"GET /large HTTP/1.1\r\n" + HOST + b"\r\n")
        # It reads nothing, and this is how to see all the same that it was shed.
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline and not _has_gone(client):
            time.sleep(0.1)
        received = 0
        try:
            while data := client.recv(1 << 20):
                received += len(data)
        except ConnectionError:
            pass
    assert received < len(LARGE)


def _has_gone(client: socket.socket) -> bool:
    # tcpi_state, the first byte of TCP_INFO; 1 is ESTABLISHED (tcp(7)).
    return client.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] != 1


def test_idle_connections_are_closed_in_silence(stack: Balancer) -> None:
    assert drip(stack.public, b"", b"") == b""
    said = drip(stack.public, b"GET / HTTP/1.1\r\n" + HOST + b"\r\n", b"")
    assert statuses(said) == [200]


def test_a_slow_but_steady_upload_is_taken(stack: Balancer) -> None:
    with socket.create_connection(("127.0.0.1", stack.public), PATIENCE_S) as client:
        client.sendall(POST + b"Content-Length: 16000\r\nConnection: close\r\n\r\n")
        for _ in range(16):
            # Longer than stalled_timeout_s in all.
            time.sleep(DRIP_S)
            client.sendall(b"a" * 1000)
        said = b""
        while data := client.recv(65_536):
            said += data
    assert statuses(said) == [200]


def test_too_much_is_refused_before_it_comes(stack: Balancer) -> None:
    said = drip(stack.public, POST + b"Content-Length: 100000001\r\n\r\n", b"")
    assert statuses(said) == [413]
