"""TLS where the stdlib's own tests do not look: names, both ends, both directions, memory."""

from __future__ import annotations

import shutil
import ssl
import subprocess
from typing import TYPE_CHECKING, TypeVar

import pytest

from verdant import Timeout, sleep, spawn
from verdant.green.socket import socketpair
from verdant.green.ssl import SSLSocket

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from verdant.green.socket import socket

T = TypeVar("T")


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, Path]]:
    """A self-signed certificate and key for each of two names."""
    if shutil.which("openssl") is None:
        pytest.skip("no openssl command to make a certificate with")
    folder = tmp_path_factory.mktemp("certificates")
    made = {}
    for name in ("first.test", "second.test"):
        cert, key = folder / f"{name}.pem", folder / f"{name}.key"
        subprocess.run(
            [
                *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
                *("-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}"),
                *("-keyout", key, "-out", cert),
            ],
            check=True,
            capture_output=True,
        )
        made[name] = (cert, key)
    return made


def server_context(files: tuple[Path, Path]) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.sslsocket_class = SSLSocket
    context.load_cert_chain(*files)
    return context


def client_context(files: tuple[Path, Path]) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(files[0]))
    context.sslsocket_class = SSLSocket
    return context


def pair(
    certificates: dict[str, tuple[Path, Path]], name: str = "first.test"
) -> tuple[ssl.SSLSocket, ssl.SSLSocket]:
    """Two ends of a TLS session. The server chooses its certificate by the name it is asked for."""
    contexts = {known: server_context(files) for known, files in certificates.items()}
    first = contexts["first.test"]

    def choose(tls: ssl.SSLObject, asked: str, context: ssl.SSLContext) -> None:
        # Runs inside the handshake.
        tls.context = contexts[asked]

    first.sni_callback = choose
    left, right = socketpair()
    serving = spawn(lambda: first.wrap_socket(right, server_side=True))
    client = client_context(certificates[name]).wrap_socket(left, server_hostname=name)
    return client, serving.wait()


@pytest.mark.parametrize("name", ["first.test", "second.test"])
def test_the_server_chooses_by_the_name_asked_for(
    name: str, certificates: dict[str, tuple[Path, Path]]
) -> None:
    client, server = pair(certificates, name)
    with client, server:
        certificate = client.getpeercert()
        assert certificate is not None
        assert certificate["subject"] == ((("commonName", name),),)


def test_a_wrong_name_fails_on_both_sides(certificates: dict[str, tuple[Path, Path]]) -> None:
    left, right = socketpair()
    context = server_context(certificates["first.test"])

    def serve() -> None:
        with right, pytest.raises(ssl.SSLError):
            context.wrap_socket(right, server_side=True)

    serving = spawn(serve)
    with left, pytest.raises(ssl.SSLCertVerificationError):
        client_context(certificates["first.test"]).wrap_socket(left, server_hostname="other.test")
    serving.wait()


def test_shutdown_waits_for_the_other_side_and_leaves_a_plain_socket(
    certificates: dict[str, tuple[Path, Path]],
) -> None:
    client, server = pair(certificates)
    leaving = spawn(client.unwrap)
    sleep(0)
    # It has said that it goes, and waits for us to say so.
    assert server.recv(100) == b""
    assert not leaving.done
    plain_server = server.unwrap()
    plain_client = leaving.wait()
    with plain_client, plain_server:
        plain_client.sendall(b"in the clear")
        assert plain_server.recv(100) == b"in the clear"


def test_closing_wakes_a_reader(certificates: dict[str, tuple[Path, Path]]) -> None:
    client, server = pair(certificates)
    with client:
        reader = spawn(server.recv, 10)
        sleep(0)
        server.close()
        with pytest.raises(OSError, match="Bad file descriptor"):
            reader.wait()


def test_both_directions_at_once(certificates: dict[str, tuple[Path, Path]]) -> None:
    client, server = pair(certificates)
    data = bytes(range(256)) * (1 << 14)

    def receive(end: ssl.SSLSocket) -> bytes:
        got = bytearray()
        while len(got) < len(data):
            got += end.recv(1 << 16)
        return bytes(got)

    with client, server:
        senders = [spawn(end.sendall, data) for end in (client, server)]
        readers = [spawn(receive, end) for end in (client, server)]
        for sender in senders:
            sender.wait()
        assert [reader.wait() for reader in readers] == [data, data]


def test_timeouts_of_sockets_and_scopes_around_them(
    certificates: dict[str, tuple[Path, Path]],
) -> None:
    client, server = pair(certificates)
    with client, server:
        with pytest.raises(Timeout), Timeout(0.001):
            client.recv(1)
        client.settimeout(0.001)
        with pytest.raises(TimeoutError):
            client.recv(1)
        client.setblocking(False)
        with pytest.raises(ssl.SSLWantReadError):
            client.recv(1)
        client.settimeout(None)
        server.sendall(b"still usable")
        assert client.recv(100) == b"still usable"


def test_a_handshake_with_one_who_says_nothing_times_out(
    certificates: dict[str, tuple[Path, Path]],
) -> None:
    left, right = socketpair()
    with left, right:
        left.settimeout(0.01)
        with pytest.raises(TimeoutError):
            client_context(certificates["first.test"]).wrap_socket(
                left, server_hostname="first.test"
            )


class Memory:
    """One end of a TLS session whose records are carried by hand."""

    def __init__(self, end: socket) -> None:
        self.end = end
        self.incoming = ssl.MemoryBIO()
        self.outgoing = ssl.MemoryBIO()

    def until_done(self, call: Callable[[], T]) -> T:
        while True:
            try:
                result = call()
            except ssl.SSLWantReadError:
                self.end.sendall(self.outgoing.read())
                self.incoming.write(self.end.recv(1 << 16))
                continue
            self.end.sendall(self.outgoing.read())
            return result


def test_tls_over_memory_and_green_sockets(certificates: dict[str, tuple[Path, Path]]) -> None:
    left, right = map(Memory, socketpair())

    def serve() -> None:
        tls = server_context(certificates["first.test"]).wrap_bio(
            right.incoming, right.outgoing, server_side=True
        )
        right.until_done(tls.do_handshake)
        said = right.until_done(lambda: tls.read(100))
        right.until_done(lambda: tls.write(b"echo " + said))

    serving = spawn(serve)
    tls = client_context(certificates["first.test"]).wrap_bio(
        left.incoming, left.outgoing, server_hostname="first.test"
    )
    with left.end, right.end:
        left.until_done(tls.do_handshake)
        left.until_done(lambda: tls.write(b"hello"))
        assert left.until_done(lambda: tls.read(100)) == b"echo hello"
        serving.wait()
