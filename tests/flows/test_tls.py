"""TLS at the front door, from outside: curl and Python's ssl against a real balancer."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPSConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest
import trustme
from flows.stack import PATIENCE_S, free_port
from flows.test_strictness import Balancer, balancer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CA = trustme.CA()
HANDSHAKES = 100
# Of two workers, or sixteen: that none of so many connections meets a certain one is no chance.
TRIES_FOR_A_WORKER = 1000


@dataclass
class Front:
    balancer: Balancer
    port: int
    directory: Path
    ca: Path
    screen: Path

    def put(self, name: str) -> bytes:
        """A fresh certificate for `name`, in place of any other; returns it (DER)."""
        made = CA.issue_cert(name)
        whole = self.directory / f"{name}.new"
        made.private_key_and_cert_chain_pem.write_to_path(str(whole))
        whole.rename(self.directory / f"{name}.pem")
        return ssl.PEM_cert_to_DER_cert(made.cert_chain_pems[0].bytes().decode())

    def connect(self, name: str, context: ssl.SSLContext | None = None) -> ssl.SSLSocket:
        if context is None:
            context = self.context()
        plain = socket.create_connection(("127.0.0.1", self.port), PATIENCE_S)
        try:
            return context.wrap_socket(plain, server_hostname=name)
        except BaseException:
            plain.close()
            raise

    def context(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=str(self.ca))
        context.set_alpn_protocols(["h2", "http/1.1"])
        return context

    def get(self, client: ssl.SSLSocket, name: str) -> bytes:
        client.sendall(b"GET / HTTP/1.1\r\nHost: %b\r\n\r\n" % name.encode())
        answer = b""
        while b"\r\n\r\n" not in answer or not answer.endswith(b"."):
            data = client.recv(65_536)
            assert data, answer
            answer += data
        return answer


class Echo(BaseHTTPRequestHandler):
    """Answers with the fields it was asked with."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        body = str(self.headers).encode() + b"."
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    directory = tmp_path_factory.mktemp("tls")
    certificates = directory / "certificates"
    certificates.mkdir()
    ca = directory / "ca.pem"
    CA.cert_pem.write_to_path(str(ca))
    port = free_port()
    settings = (
        f'[balancer.tls]\nbind = ["127.0.0.1:{port}"]\ndirectory = "{certificates}"\n'
        f"redirect = true\nredirect_port = {port}\n"
    )
    backend = ThreadingHTTPServer(("127.0.0.1", 0), Echo)
    serving = threading.Thread(target=backend.serve_forever)
    serving.start()
    try:
        with balancer(directory, settings) as made:
            found = Front(made, port, certificates, ca, directory / "screen.txt")
            rule = ["proxy", {"backends": [backend.server_address]}, True]
            for host in ("one.test", "two.test"):
                assert made.manage("PUT", f"/hostname/{host}/", rule) == 200
                found.put(host)
            yield found
    finally:
        backend.shutdown()
        serving.join(PATIENCE_S)
        backend.server_close()


def test_two_names_have_two_certificates_and_the_backend_hears_https(front: Front) -> None:
    leaves = set()
    for name in ("one.test", "two.test"):
        with front.connect(name) as client:
            leaves.add(client.getpeercert(binary_form=True))
            assert client.version() in ("TLSv1.2", "TLSv1.3")
            assert client.selected_alpn_protocol() == "http/1.1"
            answer = front.get(client, name)
            assert b"X-Forwarded-Proto: https" in answer
            assert b"X-Forwarded-For: 127.0.0.1" in answer
    assert len(leaves) == 2


def test_an_unknown_name_is_refused_and_old_tls_too(front: Front) -> None:
    with pytest.raises(ssl.SSLError, match="UNRECOGNIZED_NAME"):
        front.connect("three.test")
    old = front.context()
    with warnings.catch_warnings():
        # That it is out of date is the point.
        warnings.simplefilter("ignore", DeprecationWarning)
        old.minimum_version = ssl.TLSVersion.TLSv1
        old.maximum_version = ssl.TLSVersion.TLSv1_1
    # Otherwise OpenSSL would not even ask.
    old.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.raises(ssl.SSLError, match="PROTOCOL_VERSION"):
        front.connect("one.test", old)


def test_a_certificate_is_replaced_while_connections_run(front: Front) -> None:
    with front.connect("one.test") as before:
        old = before.getpeercert(binary_form=True)
        front.get(before, "one.test")
        fresh = front.put("one.test")
        with front.connect("one.test") as after:
            assert after.getpeercert(binary_form=True) == fresh != old
            front.get(after, "one.test")
        front.get(before, "one.test")


def test_a_file_that_does_not_fit_stops_nobody(front: Front) -> None:
    (front.directory / "bad.test.pem").write_bytes(b"hello")
    with pytest.raises(ssl.SSLError, match="UNRECOGNIZED_NAME"):
        front.connect("bad.test")
    assert f"{front.directory}/bad.test.pem: there is no certificate" in front.screen.read_text()
    with front.connect("two.test") as client:
        front.get(client, "two.test")


def test_a_name_that_is_no_ascii_is_refused_in_silence(front: Front) -> None:
    sent, hello = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = front.context().wrap_bio(sent, hello, server_hostname="oneXtest")
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    with socket.create_connection(("127.0.0.1", front.port), PATIENCE_S) as stream:
        stream.sendall(hello.read().replace(b"oneXtest", b"one\xfftest"))
        # An alert, and the end.
        assert stream.recv(4096)[:1] == b"\x15"
        assert stream.recv(4096) == b""
    assert "Traceback" not in front.screen.read_text()


def test_sessions_are_resumed(front: Front) -> None:
    context = front.context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with front.connect("two.test", context) as client:
        front.get(client, "two.test")
        session = client.session
    # Tickets are not the certificate's: they outlive it.
    front.put("two.test")
    # A ticket is known to the worker that gave it; one of several gets this connection.
    for _ in range(TRIES_FOR_A_WORKER):
        plain = socket.create_connection(("127.0.0.1", front.port), PATIENCE_S)
        with context.wrap_socket(plain, server_hostname="two.test", session=session) as client:
            front.get(client, "two.test")
            if client.session_reused:
                return
    pytest.fail("no worker knew its own ticket")


def test_unfinished_handshakes_touch_nobody(front: Front) -> None:
    hello = ssl.MemoryBIO()
    half = front.context().wrap_bio(ssl.MemoryBIO(), hello, server_hostname="one.test")
    with pytest.raises(ssl.SSLWantReadError):
        half.do_handshake()
    begin = hello.read()
    hanging = []
    for number in range(20):
        # Nothing, part of a hello, all of it.
        hanging.append(socket.create_connection(("127.0.0.1", front.port), PATIENCE_S))
        hanging[-1].sendall((b"", begin[:100], begin)[number % 3])

    def ask(number: int) -> bytes:
        name = ("one.test", "two.test")[number % 2]
        with front.connect(name) as client:
            return front.get(client, name)

    try:
        with ThreadPoolExecutor(HANDSHAKES) as threads:
            answers = list(threads.map(ask, range(HANDSHAKES)))
    finally:
        for client in hanging:
            client.close()
    assert all(answer.startswith(b"HTTP/1.1 200") for answer in answers)


def test_what_is_no_tls_is_refused_there(front: Front) -> None:
    with socket.create_connection(("127.0.0.1", front.port), PATIENCE_S) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: one.test\r\n\r\n")
        answer = b""
        try:
            while data := client.recv(4096):
                answer += data
        except ConnectionError:
            pass
    assert not answer.startswith(b"HTTP")


def test_plain_requests_are_sent_to_https(front: Front) -> None:
    def ask(host: str, path: str) -> tuple[int, str | None]:
        connection = HTTPConnection("127.0.0.1", front.balancer.public, timeout=PATIENCE_S)
        connection.request("GET", path, headers={"Host": host})
        answer = connection.getresponse()
        answer.read()
        connection.close()
        return answer.status, answer.getheader("Location")

    assert ask("one.test", "/a?b=c") == (308, f"https://one.test:{front.port}/a?b=c")
    assert ask("nobody.test", "/") == (503, None)
    assert ask("one.test", "/.well-known/acme-challenge/x") == (200, None)


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_curl_follows_to_https(front: Front) -> None:
    done = subprocess.run(
        [
            *("curl", "-sS", "--fail", "-L", "--cacert", str(front.ca)),
            *("--resolve", f"one.test:{front.balancer.public}:127.0.0.1"),
            *("--resolve", f"one.test:{front.port}:127.0.0.1"),
            f"http://one.test:{front.balancer.public}/",
        ],
        capture_output=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert b"X-Forwarded-Proto: https" in done.stdout


def test_clients_show_certificates_where_they_must(tmp_path: Path) -> None:
    ca = tmp_path / "ca.pem"
    CA.cert_pem.write_to_path(str(ca))
    directory = tmp_path / "certificates"
    directory.mkdir()
    port = free_port()
    CA.issue_cert("one.test").private_key_and_cert_chain_pem.write_to_path(
        str(directory / "one.test.pem")
    )
    for name, authority in (("mine", CA), ("theirs", trustme.CA())):
        authority.issue_cert(f"{name}@one.test").private_key_and_cert_chain_pem.write_to_path(
            str(tmp_path / name)
        )
    settings = (
        f'[balancer.tls]\nbind = ["127.0.0.1:{port}"]\ndirectory = "{directory}"\n'
        f'client_ca = "{ca}"\n'
    )

    def ask(certificate: str | None) -> int:
        context = ssl.create_default_context(cafile=str(ca))
        if certificate is not None:
            context.load_cert_chain(tmp_path / certificate)
        connection = HTTPSConnection("127.0.0.1", port, context=context, timeout=PATIENCE_S)
        plain = socket.create_connection(("127.0.0.1", port), PATIENCE_S)
        with context.wrap_socket(plain, server_hostname="one.test") as client:
            connection.sock = client
            connection.request("GET", "/", headers={"Host": "one.test"})
            return connection.getresponse().status

    with balancer(tmp_path, settings) as made:
        assert made.manage("PUT", "/hostname/one.test/", ["empty", {"code": 204}, False]) == 200
        assert ask("mine") == 204
        for refused in (None, "theirs"):
            with pytest.raises((ssl.SSLError, ConnectionError)):
                ask(refused)
