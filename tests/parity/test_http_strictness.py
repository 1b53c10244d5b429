"""What Eventlet's and gevent's servers accept and a strict one refuses: one raw request each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from wsgi.running import running

if TYPE_CHECKING:
    from collections.abc import Iterable
    from wsgiref.types import StartResponse, WSGIEnvironment

REFUSED = {
    "length and chunked": b"Host: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked",
    "two lengths": b"Host: a\r\nContent-Length: 3\r\nContent-Length: 4",
    "signed length": b"Host: a\r\nContent-Length: +1",
    "gzip, chunked": b"Host: a\r\nTransfer-Encoding: gzip, chunked",
    "blank before the colon": b"Host : a",
    "folded line": b"Host: a\r\nX-Long: one\r\n two",
    "no host": b"X-Other: a",
    "two hosts": b"Host: a\r\nHost: b",
}


def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    environ["wsgi.input"].read()
    start_response("200 OK", [("Content-Length", "0")])
    return [b""]


def answer(request: bytes) -> bytes:
    """All that the server says until it closes."""
    with running(application) as server:
        return server.say(request)


@pytest.mark.parametrize("head", REFUSED.values(), ids=REFUSED.keys())
def test_ambiguous_requests_are_refused_and_nothing_follows(head: bytes) -> None:
    smuggled = b"GET /second HTTP/1.1\r\nHost: a\r\n\r\n"
    said = answer(b"POST / HTTP/1.1\r\n" + head + b"\r\n\r\n" + b"1\r\nx\r\n" + smuggled)
    assert said.count(b"HTTP/1.1 ") == 1
    assert said.split(b" ", 2)[1] in (b"400", b"501")


def test_a_bare_line_feed_ends_no_line() -> None:
    said = answer(b"GET / HTTP/1.1\nHost: a\n\nGET / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert said.count(b"HTTP/1.1 ") == 1
    assert said.startswith(b"HTTP/1.1 400 ")


def test_a_chunk_size_is_hexadecimal_digits() -> None:
    head = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    said = answer(head + b"0x1\r\nx\r\n0\r\n\r\n")
    assert b"HTTP/1.1 200 " not in said
