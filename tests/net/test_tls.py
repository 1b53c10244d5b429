"""TLS streams: ends that are meant, ends that are not, and peers of another make."""

from __future__ import annotations

import os
import shutil
import socket as native
import ssl
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from net.certificates import certificates

from verdant import Event, Timeout, run_in_worker, sleep, spawn
from verdant.green.ssl import SSLSocket
from verdant.http import ClientConnection
from verdant.net import (
    Server,
    Stream,
    TlsBroken,
    TlsStream,
    bound_address,
    connect,
    listen,
    tls_client_context,
    tls_server_context,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@contextmanager
def serving(
    handle: Callable[[Stream], object], context: ssl.SSLContext | None = None, **options: Any
) -> Iterator[tuple[str, int]]:
    listener = listen("127.0.0.1:0", tls=context or certificates().server_context())
    server = Server(listener, handle, **options)
    server.start()
    address: Any = bound_address(listener)
    try:
        with Timeout(50):
            yield "127.0.0.1", address.port
    finally:
        server.stop()


def read_all(stream: Stream) -> bytes:
    pieces = []
    while piece := stream.recv(10_000):
        pieces.append(piece)
    return b"".join(pieces)


def send_back_at_the_end(stream: Stream) -> None:
    stream.sendall(read_all(stream))


def session(stream: Stream) -> ssl.SSLObject:
    assert isinstance(stream, TlsStream)
    return stream.tls


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_half_a_close_leaves_the_other_half(version: ssl.TLSVersion) -> None:
    context = certificates().server_context()
    context.maximum_version = version
    data = os.urandom(3_000_000)
    with serving(send_back_at_the_end, context) as address:
        stream = connect(address, tls=certificates().client_context())
        stream.sendall(data)
        stream.send_eof()
        assert read_all(stream) == data
        stream.close()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_what_is_arriving_while_we_finish_is_not_lost(version: ssl.TLSVersion) -> None:
    sent = Event()

    def handle(stream: Stream) -> None:
        stream.sendall(b"x" * 100_000)
        sent.set()
        assert read_all(stream) == b""
        stream.sendall(b"y" * 100_000)

    context = certificates().server_context()
    context.maximum_version = version
    with serving(handle, context) as address:
        stream = connect(address, tls=certificates().client_context())
        # Some of it in our buffers, decrypted and not, the rest in the kernel's.
        assert stream.recv(10) == b"x" * 10
        sent.wait()
        stream.send_eof()
        assert read_all(stream) == b"x" * 99_990 + b"y" * 100_000
        with pytest.raises(TlsBroken):
            stream.sendall(b"too late")
        stream.close()


@settings(max_examples=10, deadline=None)
@given(st.lists(st.binary(min_size=1, max_size=40_000), max_size=8), st.integers(1, 50_000))
def test_both_directions_at_once_keep_every_byte(pieces: list[bytes], size: int) -> None:
    def handle(stream: Stream) -> None:
        while data := stream.recv(size):
            stream.sendall(data)

    with serving(handle) as address:
        stream = connect(address, tls=certificates().client_context())

        def send() -> None:
            for piece in pieces:
                stream.sendall(piece)
            stream.send_eof()

        sender = spawn(send)
        assert read_all(stream) == b"".join(pieces)
        sender.wait()
        stream.close()


def test_several_senders_do_not_mix_their_records() -> None:
    with serving(send_back_at_the_end) as address:
        stream = connect(address, tls=certificates().client_context())
        senders = [spawn(stream.sendall, bytes([n]) * 500_000) for n in range(6)]
        for sender in senders:
            sender.wait()
        stream.send_eof()
        found = read_all(stream)
        stream.close()
    assert sorted(found) == sorted(b"".join(bytes([n]) * 500_000 for n in range(6)))


# Ends that nobody meant.


@pytest.mark.parametrize("how", ["abort", "break_off"])
def test_a_cut_is_an_error_and_not_an_end(how: str) -> None:
    def handle(stream: Stream) -> None:
        stream.sendall(b"half of it")
        getattr(stream, how)()

    with serving(handle) as address:
        stream = connect(address, tls=certificates().client_context())
        with pytest.raises(TlsBroken):
            assert read_all(stream) == b"half of it"
        stream.close()


def test_a_handler_that_fails_leaves_no_end_that_looks_meant(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def handle(stream: Stream) -> None:
        stream.sendall(b"half of it")
        raise RuntimeError("a bug")

    with serving(handle) as address:
        stream = connect(address, tls=certificates().client_context())
        with pytest.raises(TlsBroken):
            read_all(stream)
        stream.close()
    assert "a bug" in caplog.text


@pytest.mark.parametrize("meant", [True, False])
def test_http_takes_no_cut_body_for_a_whole_one(meant: bool) -> None:
    def handle(stream: Stream) -> None:
        stream.recv(10_000)
        stream.sendall(b"HTTP/1.1 200 OK\r\n\r\nuntil the close")
        if not meant:
            stream.abort()

    with serving(handle) as address:
        stream = connect(address, tls=certificates().client_context())
        stream.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        connection = ClientConnection(stream)
        assert connection.read_response(b"GET").until_close
        got = b""
        if meant:
            while piece := connection.read_body_piece():
                got += piece
            assert got == b"until the close"
        else:
            with pytest.raises(TlsBroken):
                list(iter(connection.read_body_piece, b""))
        connection.close()


def test_a_damaged_record_is_an_error() -> None:
    broken = Event()

    def handle(stream: Stream) -> None:
        with pytest.raises(TlsBroken):
            stream.recv(100)
        broken.set()

    with serving(handle) as address:
        stream = connect(address, tls=certificates().client_context())
        stream.socket.sendall(b"\x17\x03\x03\x00\x20" + b"z" * 32)
        assert broken.wait(20)
        stream.close()


# Handshakes.


def test_a_slow_handshake_keeps_nobody_waiting_and_ends() -> None:
    def hello(stream: Stream) -> None:
        stream.sendall(b"hello")

    with (
        serving(hello, handshake_s_max=0.2) as address,
        native.create_connection(address) as slow,
    ):
        for _ in range(3):
            stream = connect(address, tls=certificates().client_context())
            assert read_all(stream) == b"hello"
            stream.close()
        # And the slow one is let go.
        assert run_in_worker(slow.recv, 100) == b""


@pytest.mark.parametrize(
    ("data", "alert"),
    [(b"GET / HTTP/1.1\r\n\r\n", b""), (b"\x16\x03\x01\x00\x06\x01\x00\x00\x02zz", b"\x15")],
)
def test_a_client_that_speaks_no_tls_is_let_go(data: bytes, alert: bytes) -> None:
    with serving(lambda _: None) as address:
        stream = connect(address)
        stream.sendall(data)
        # OpenSSL keeps silent towards HTTP, and tells others by an alert record what it thinks.
        assert read_all(stream)[:1] == alert
        stream.close()


def test_the_name_and_the_authority_are_checked() -> None:
    context = certificates().client_context()
    with serving(lambda _: None, tls_server_context(certificates().other)) as address:
        with pytest.raises(ssl.SSLCertVerificationError):
            connect(address, tls=context)
        connect(address, tls=context, server_hostname="other.test").close()
        with pytest.raises(ssl.SSLCertVerificationError):
            connect(address, tls=tls_client_context(), server_hostname="other.test")


def test_a_server_that_never_answers_ends_the_handshake_in_time() -> None:
    with native.create_server(("127.0.0.1", 0)) as silent, pytest.raises(TimeoutError):
        connect(silent.getsockname(), tls=certificates().client_context(), timeout_s=0.05)


def test_clients_can_be_asked_for_certificates() -> None:
    names: list[object] = []

    def handle(stream: Stream) -> None:
        found: Any = session(stream).getpeercert()
        names.append(found["subjectAltName"])
        stream.sendall(b"welcome")

    files = certificates()
    with serving(handle, tls_server_context(files.server, client_ca=files.ca)) as address:
        context = tls_client_context(ca=files.ca, certificate=files.client)
        stream = connect(address, tls=context)
        assert read_all(stream) == b"welcome"
        stream.close()
        stream = connect(address, tls=files.client_context())
        with pytest.raises(TlsBroken):
            # With TLS 1.3 the server's refusal comes behind the handshake.
            read_all(stream)
        stream.close()
    assert names == [(("email", "client@a.test"),)]


def test_names_choose_certificates_and_protocols_are_agreed_on() -> None:
    files = certificates()
    context = files.server_context()
    other = tls_server_context(files.other)
    asked: list[str | None] = []

    def choose(tls: ssl.SSLObject, name: str | None, _context: ssl.SSLContext) -> None:
        asked.append(name)
        if name == "other.test":
            tls.context = other

    context.sni_callback = choose
    with serving(lambda stream: stream.sendall(b"hello"), context) as address:
        for name in ("localhost", "other.test"):
            stream = connect(address, tls=files.client_context(), server_hostname=name)
            found: Any = session(stream).getpeercert()
            assert ("DNS", name) in found["subjectAltName"]
            assert session(stream).selected_alpn_protocol() == "http/1.1"
            assert read_all(stream) == b"hello"
            stream.close()
    assert asked == ["localhost", "other.test"]


def test_old_versions_are_refused() -> None:
    context = certificates().server_context()
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    assert certificates().client_context().minimum_version == ssl.TLSVersion.TLSv1_2
    assert certificates().client_context().verify_mode == ssl.CERT_REQUIRED


# Peers of another make.


def test_a_native_client_and_its_orderly_end() -> None:
    def ask(address: tuple[str, int]) -> bytes:
        context = ssl.create_default_context(cafile=certificates().ca)
        with (
            native.create_connection(address) as plain,
            context.wrap_socket(
                plain, server_hostname="localhost", suppress_ragged_eofs=False
            ) as sock,
        ):
            sock.sendall(b"x" * 100_000 + b"\n")
            got = b""
            while piece := sock.recv(65_536):
                got += piece
        return got

    def handle(stream: Stream) -> None:
        got = b""
        while not got.endswith(b"\n"):
            got += stream.recv(65_536)
        stream.sendall(got)

    with serving(handle) as address:
        assert run_in_worker(ask, address) == b"x" * 100_000 + b"\n"


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs the openssl command")
def test_openssls_client() -> None:
    with serving(lambda stream: stream.sendall(b"hello from here\n")) as (host, port):
        command = ["openssl", "s_client", "-quiet", "-verify_return_error", "-CAfile"]
        command += [str(certificates().ca), "-connect", f"{host}:{port}"]
        done = run_in_worker(
            lambda: subprocess.run(
                command, stdin=subprocess.DEVNULL, capture_output=True, timeout=30, check=False
            )
        )
    assert b"hello from here" in done.stdout


def test_a_bare_accept_gives_a_green_tls_socket() -> None:
    listener = listen("127.0.0.1:0", tls=certificates().server_context())
    address: Any = bound_address(listener)

    def serve_one() -> bytes:
        connection, _ = listener.accept()
        assert isinstance(connection, SSLSocket)
        with connection:
            return connection.recv(100)

    with Timeout(30):
        served = spawn(serve_one)
        stream = connect(("127.0.0.1", address.port), tls=certificates().client_context())
        stream.sendall(b"hello")
        assert served.wait() == b"hello"
        stream.close()
        listener.close()


def test_session_tickets_do_not_make_a_connection_stale() -> None:
    said = Event()

    def handle(stream: Stream) -> None:
        stream.recv(100)
        said.set()
        stream.sendall(b"unasked")
        stream.recv(100)

    with serving(handle) as address:
        stream = connect(address, tls=certificates().client_context())
        for _ in range(20):
            sleep(0.001)
            assert not stream.is_stale()
        stream.sendall(b"go")
        said.wait()
        for _ in range(1000):
            if stream.is_stale():
                break
            sleep(0.005)
        assert stream.is_stale()
        stream.close()
