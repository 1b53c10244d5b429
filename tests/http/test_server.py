"""The server loop on real sockets: keep-alive, pipelining, bodies, limits, refusals."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from verdant import Timeout
from verdant.http import HttpServer, Request, Response, ServerConnection, request
from verdant.net import Stream, bound_address, connect, listen

if TYPE_CHECKING:
    from collections.abc import Iterator

    from verdant.address import TcpAddress, UnixAddress

HEAD = b"%s / HTTP/1.1\r\nHost: a.test\r\n%s\r\n"


def answer(asked: Request, connection: ServerConnection) -> Response | None:
    if asked.path == b"/fail":
        raise RuntimeError("a bug")
    if asked.path == b"/stream":
        connection.respond_streaming(200, [], [b"one", b"two"])
        return None
    return Response(200, [(b"X-Length", b"%d" % len(connection.read_body(1000)))], b"hello")


@contextmanager
def serving() -> Iterator[TcpAddress | UnixAddress]:
    listener = listen("127.0.0.1:0")
    server = HttpServer(listener, answer)
    server.start()
    try:
        yield bound_address(listener)
    finally:
        server.stop()


def exchange(data: bytes) -> bytes:
    """Everything that the server says to `data`, until it closes."""
    with serving() as address, Timeout(30):
        stream: Stream = connect(address)
        try:
            stream.sendall(data)
            stream.send_eof()
            got = b""
            while piece := stream.recv(65_536):
                got += piece
        finally:
            stream.close()
    return got


def test_pipelined_requests_are_answered_in_order() -> None:
    post = HEAD % (b"POST", b"Content-Length: 3\r\n") + b"abc"
    chunked = HEAD % (b"POST", b"Transfer-Encoding: chunked\r\n") + b"2\r\nab\r\n0\r\n\r\n"
    got = exchange(HEAD % (b"GET", b"") + post + chunked + HEAD % (b"HEAD", b""))
    assert got.count(b"HTTP/1.1 200 OK") == 4
    assert [line for line in got.split(b"\r\n") if line.startswith(b"X-Length")] == [
        b"X-Length: 0",
        b"X-Length: 3",
        b"X-Length: 2",
        b"X-Length: 0",
    ]
    assert got.count(b"hello") == 3


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"nonsense\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\nHost: a\n\n", b"400"),
        (b"GET / HTTP/1.1\r\nX: " + b"a" * 70_000, b"431"),
        (HEAD % (b"POST", b"Content-Length: 2000\r\n"), b"413"),
        (HEAD % (b"POST", b"Transfer-Encoding: chunked\r\n") + b"zz\r\n", b"400"),
    ],
)
def test_bad_requests_get_their_status_and_the_connection_ends(data: bytes, status: bytes) -> None:
    got = exchange(data)
    assert got.startswith(b"HTTP/1.1 " + status)
    assert b"Connection: close" in got
    assert got.count(b"HTTP/1.1") == 1


def test_continue_is_said_when_the_body_is_wanted() -> None:
    got = exchange(HEAD % (b"POST", b"Content-Length: 3\r\nExpect: 100-continue\r\n"))
    assert got.startswith(b"HTTP/1.1 100 Continue\r\n\r\n")


def test_http_1_0_closes_unless_asked() -> None:
    assert b"Connection: close" in exchange(b"GET / HTTP/1.0\r\n\r\n")
    kept = exchange(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n" * 2)
    assert kept.count(b"HTTP/1.1 200") == 2


def test_a_handler_that_fails_is_a_500_without_a_traceback(
    caplog: pytest.LogCaptureFixture,
) -> None:
    got = exchange(b"GET /fail HTTP/1.1\r\nHost: a\r\n\r\n")
    assert got.startswith(b"HTTP/1.1 500")
    assert b"Traceback" not in got
    assert "a bug" in caplog.text


def test_the_client_reads_streams() -> None:
    with serving() as address:
        found = request("GET", address, "/stream", host="a.test")
    assert (found.status, found.read()) == (200, b"onetwo")
