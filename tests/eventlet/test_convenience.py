from __future__ import annotations

import ssl as stdlib_ssl
import subprocess
import warnings
from typing import TYPE_CHECKING, Any

import pytest

from verdant import eventlet
from verdant.eventlet import convenience
from verdant.eventlet.green import socket

if TYPE_CHECKING:
    from pathlib import Path


def test_listen_and_connect() -> None:
    server = eventlet.listen(("127.0.0.1", 0))
    thread = eventlet.spawn(server.accept)
    client = eventlet.connect(server.getsockname(), bind=("127.0.0.1", 0))
    connection, address = thread.wait()
    assert address == client.getsockname()
    client.sendall(b"hello")
    assert connection.recv(10) == b"hello"
    assert server.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR)
    for sock in (server, client, connection):
        sock.close()


def test_listen_on_a_path(tmp_path: Path) -> None:
    path = str(tmp_path / "sock")
    server = eventlet.listen(path, family=socket.AF_UNIX)
    thread = eventlet.spawn(server.accept)
    client = eventlet.connect(path, family=socket.AF_UNIX)
    connection, _ = thread.wait()
    for sock in (server, client, connection):
        sock.close()


def test_ports_are_shared_if_they_are_named() -> None:
    first = eventlet.listen(("127.0.0.1", 0))
    assert not first.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT)
    port = first.getsockname()[1]
    first.close()
    one = eventlet.listen(("127.0.0.1", port))
    assert one.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT)
    other = eventlet.listen(("127.0.0.1", port))
    one.close()
    other.close()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        eventlet.listen(("127.0.0.1", 0), reuse_port=True).close()
    assert [warning.category for warning in caught] == [convenience.ReuseRandomPortWarning]


def test_connecting_to_nobody() -> None:
    server = eventlet.listen(("127.0.0.1", 0))
    address = server.getsockname()
    server.close()
    with pytest.raises(ConnectionRefusedError):
        eventlet.connect(address)


def test_serve_gives_each_connection_to_the_handler_and_closes_it() -> None:
    seen: list[Any] = []

    def handle(client: Any, address: Any) -> None:
        seen.append(address)
        client.sendall(client.recv(100).upper())

    server = eventlet.listen(("127.0.0.1", 0))
    thread = eventlet.spawn(eventlet.serve, server, handle)
    addresses = []
    for _ in range(3):
        client = eventlet.connect(server.getsockname())
        addresses.append(client.getsockname())
        client.sendall(b"text")
        assert client.recv(100) == b"TEXT"
        assert client.recv(100) == b""
        client.close()
    assert seen == addresses
    thread.kill()
    server.close()


def test_a_handler_can_stop_the_server() -> None:
    def handle(client: Any, address: Any) -> None:
        raise eventlet.StopServe

    server = eventlet.listen(("127.0.0.1", 0))
    thread = eventlet.spawn(eventlet.serve, server, handle)
    client = eventlet.connect(server.getsockname())
    assert client.recv(1) == b""
    assert thread.wait() is None
    client.close()
    server.close()


def test_what_a_handler_raises_ends_the_server() -> None:
    def handle(client: Any, address: Any) -> None:
        raise RuntimeError("handler")

    server = eventlet.listen(("127.0.0.1", 0))
    thread = eventlet.spawn(eventlet.serve, server, handle)
    client = eventlet.connect(server.getsockname())
    with pytest.raises(RuntimeError, match="handler"):
        thread.wait()
    client.close()
    server.close()


def test_serve_is_bounded() -> None:
    running = 0
    most = 0
    gate = eventlet.Event()

    def handle(client: Any, address: Any) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        gate.wait()
        running -= 1

    server = eventlet.listen(("127.0.0.1", 0))
    thread = eventlet.spawn(eventlet.serve, server, handle, concurrency=2)
    clients = [eventlet.connect(server.getsockname()) for _ in range(4)]
    for _ in range(10):
        eventlet.sleep(0)
    assert running == 2
    gate.send()
    for client in clients:
        assert client.recv(1) == b""
        client.close()
    assert most == 2
    thread.kill()
    server.close()


@pytest.mark.differs("in Eventlet the second error is raised where the server was called from")
def test_a_late_failure_ends_nothing() -> None:
    gate = eventlet.Event()

    def handle(client: Any, address: Any) -> None:
        if client.recv(1) == b"s":
            raise eventlet.StopServe
        gate.wait()
        raise RuntimeError("late")

    def server_and_more() -> str:
        eventlet.serve(server, handle)
        gate.send()
        eventlet.sleep(0.01)
        return "went on"

    server = eventlet.listen(("127.0.0.1", 0))
    thread = eventlet.spawn(server_and_more)
    late = eventlet.connect(server.getsockname())
    late.sendall(b"x")
    eventlet.sleep(0.01)
    stopping = eventlet.connect(server.getsockname())
    stopping.sendall(b"s")
    assert thread.wait() == "went on"
    for sock in (late, stopping, server):
        sock.close()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: Any) -> tuple[str, str]:
    folder = tmp_path_factory.mktemp("tls")
    key, cert = str(folder / "key.pem"), str(folder / "cert.pem")
    request = "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost"
    names = ["-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", cert]
    subprocess.run(["openssl", *request.split(), *names], check=True, capture_output=True)
    return cert, key


def test_wrap_ssl(certificate: tuple[str, str]) -> None:
    cert, key = certificate
    server = eventlet.wrap_ssl(
        eventlet.listen(("127.0.0.1", 0)), certfile=cert, keyfile=key, server_side=True
    )

    def serve_one() -> None:
        connection, _ = server.accept()
        connection.sendall(connection.recv(100).upper())
        connection.close()

    thread = eventlet.spawn(serve_one)
    client = eventlet.wrap_ssl(eventlet.connect(server.getsockname()))
    client.sendall(b"hello")
    assert client.recv(100) == b"HELLO"
    thread.wait()
    client.close()
    server.close()


def test_a_checked_certificate(certificate: tuple[str, str]) -> None:
    from verdant.eventlet.green import ssl

    cert, key = certificate
    context = ssl.create_default_context(stdlib_ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(cert, key)
    server = eventlet.listen(("127.0.0.1", 0))

    def serve_one() -> None:
        plain, _ = server.accept()
        connection = context.wrap_socket(plain, server_side=True)
        connection.sendall(b"secret")
        connection.close()

    thread = eventlet.spawn(serve_one)
    trusting = ssl.create_default_context(cafile=cert)
    client = trusting.wrap_socket(
        eventlet.connect(server.getsockname()), server_hostname="localhost"
    )
    assert client.recv(100) == b"secret"
    thread.wait()
    client.close()
    server.close()
