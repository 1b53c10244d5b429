"""The strict parser: what is refused, and that what is accepted means the same to others."""

from __future__ import annotations

from typing import TYPE_CHECKING

import h11
import httptools
import pytest
from hypothesis import given
from hypothesis import strategies as st

from verdant.balancer.forwarding import forward_external
from verdant.http import (
    BadRequest,
    BadResponse,
    ChunkedDecoder,
    HttpError,
    Request,
    ResponseHead,
    chunk,
    forwarded_request_head,
    parse_request_head,
    parse_response_head,
)
from verdant.http.parser import _parse_other_request, _parse_other_response

if TYPE_CHECKING:
    from collections.abc import Callable

HOST = b"\r\nHost: a.test"

BAD_HEADS = [
    (b"GET / HTTP/1.1" + HOST + b"\nX: y", 400),
    (b"GET / HTTP/1.1" + HOST + b"\r\n folded: y", 400),
    (b"GET / HTTP/1.1" + HOST + b"\r\nX : y", 400),
    (b"GET / HTTP/1.1" + HOST + b"\r\nX: a\x00b", 400),
    (b"GET / HTTP/1.1", 400),
    (b"GET / HTTP/1.1" + HOST + HOST, 400),
    (b"GET / HTTP/1.1\r\nHost: a b", 400),
    (b"GET  / HTTP/1.1" + HOST, 400),
    (b"GET / HTTP/2.0" + HOST, 505),
    (b"GET /", 400),
    (b"G(T / HTTP/1.1" + HOST, 400),
    (b"GET /" + b"a" * 8001 + b" HTTP/1.1" + HOST, 414),
    (b"GET / HTTP/1.1" + HOST + b"\r\nX: y" * 200, 431),
    (b"POST / HTTP/1.1" + HOST + b"\r\nContent-Length: 1\r\nTransfer-Encoding: chunked", 400),
    (b"POST / HTTP/1.1" + HOST + b"\r\nContent-Length: 0\r\nTransfer-Encoding: chunked", 400),
    (b"POST / HTTP/1.1" + HOST + b"\r\nContent-Length: 1\r\nContent-Length: 1", 400),
    (b"POST / HTTP/1.1" + HOST + b"\r\nContent-Length: 1, 1", 400),
    (b"POST / HTTP/1.1" + HOST + b"\r\nContent-Length: +1", 400),
    (b"POST / HTTP/1.1" + HOST + b"\r\nContent-Length: ", 400),
    (b"POST / HTTP/1.1" + HOST + b"\r\nContent-Length: 1_0", 400),
    (b"POST / HTTP/1.1" + HOST + b"\r\nTransfer-Encoding: gzip, chunked", 501),
    (b"POST / HTTP/1.0" + HOST + b"\r\nTransfer-Encoding: chunked", 400),
    (b"CONNECT a.test:80 HTTP/1.1" + HOST, 501),
    (b"GET http://b.test/ HTTP/1.1" + HOST, 400),
]


@pytest.mark.parametrize(("head", "status"), BAD_HEADS)
def test_ambiguous_heads_are_refused(head: bytes, status: int) -> None:
    with pytest.raises(BadRequest) as caught:
        parse_request_head(head)
    assert caught.value.status == status


@pytest.mark.parametrize(
    ("value", "host"),
    [
        (b"A.Test", b"a.test"),
        (b"a.test:8080", b"a.test"),
        (b"a.test.", b"a.test"),
        (b"[::1]:80", b"[::1]"),
    ],
)
def test_hosts_are_normalised(value: bytes, host: bytes) -> None:
    assert parse_request_head(b"GET / HTTP/1.1\r\nHost: " + value).host == host


token = st.text("abcXYZ019-_!", min_size=1, max_size=12).map(str.encode)
value = st.text('abc XYZ;,=/\t"é', max_size=20).map(lambda text: text.strip().encode("latin-1"))
fields = st.lists(st.tuples(token.map(lambda name: b"X-" + name), value), max_size=8)


@given(st.sampled_from([b"GET", b"POST", b"PUT"]), fields)
def test_accepted_heads_mean_the_same_to_llhttp_and_h11(
    method: bytes, extra: list[tuple[bytes, bytes]]
) -> None:
    lines = [method + b" /a?b HTTP/1.1", b"Host: a.test", b"Content-Length: 0"]
    lines += [name + b": " + content for name, content in extra]
    head = b"\r\n".join(lines)
    request = parse_request_head(head)
    ours = [(name.lower(), content) for name, content in request.headers]

    class Heard:
        def __init__(self) -> None:
            self.fields: list[tuple[bytes, bytes]] = []

        def on_header(self, name: bytes, content: bytes) -> None:
            self.fields.append((name.lower(), content.strip()))

    heard = Heard()
    parser = httptools.HttpRequestParser(heard)
    parser.feed_data(head + b"\r\n\r\n")
    assert heard.fields == ours
    assert parser.get_method() == request.method

    connection = h11.Connection(h11.SERVER)
    connection.receive_data(head + b"\r\n\r\n")
    event = connection.next_event()
    assert isinstance(event, h11.Request)
    assert [(bytes(name), bytes(content)) for name, content in event.headers] == ours


# Fields with a meaning, and some that only look like them.
marked = st.sampled_from(
    [
        b"Host: a.test", b"host:b.test:80", b"Connection: keep-alive", b"connection:Keep-Alive",
        b"Connection: close", b"Connection: keep-alive, X-A", b"Content-Length: 5",
        b"Content-Length: 0", b"Transfer-Encoding: chunked", b"TE: trailers", b"Upgrade: x",
        b"Expect: 100-continue", b"Proxy-Authorization: x", b"Keep-Alive: 5", b"Trailer: x",
        b"X-Forwarded-For: 1", b"x_forwarded_proto: https", b"Forwarded: for=1", b"X-Real_IP: 1",
        b"X-Forwarded: 1", b"X-Forwardedness: 1", b"Hosts: x", b"Te-x: y", b"Accept: */*", b"X-A: ",
    ]
)  # fmt: skip


def _said(message: Request | ResponseHead) -> dict[str, object]:
    names = ("minor_version", "content_length", "chunked", "keep_alive", "upgrade")
    said = {name: getattr(message, name) for name in names}
    for name in ("method", "target", "host", "has_body", "forwarded", "expect_continue", "status"):
        said[name] = getattr(message, name, None)
    said["fields"] = [field for field in message.headers if field[0].lower() != b"connection"]
    return said


def _outcome(parse: Callable[[bytes], Request | ResponseHead], head: bytes) -> object:
    try:
        return _said(parse(head))
    except HttpError as exc:
        return type(exc), str(exc)


@given(st.lists(marked, max_size=6))
def test_a_plain_head_says_what_the_longer_way_would_say(lines: list[bytes]) -> None:
    head = b"\r\n".join([b"GET /a?b HTTP/1.1", *lines])
    longer = _outcome(_parse_other_request, head)
    assert _outcome(parse_request_head, head) == longer
    if isinstance(longer, dict):
        request = parse_request_head(head)
        assert request.forwarded == (forward_external(head, b"")[0] != head)
        if request.plain:
            assert forwarded_request_head(request) == request.head + b"\r\n\r\n"


@given(st.lists(marked, max_size=6))
def test_a_plain_answer_says_what_the_longer_way_would_say(lines: list[bytes]) -> None:
    head = b"\r\n".join([b"HTTP/1.1 200 OK", *lines])
    plain = _outcome(parse_response_head, head)
    longer = _outcome(_parse_other_response, head)
    if isinstance(longer, dict) and longer["content_length"] is None and not longer["chunked"]:
        # It ends with its connection: said after either way.
        longer["keep_alive"] = False
    assert plain == longer


@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_a_request_or_refused(data: bytes) -> None:
    for head in (data, b"GET / HTTP/1.1\r\nHost: a\r\n" + data):
        try:
            accepted = parse_request_head(head).head
        except BadRequest:
            accepted = b""
        if accepted:
            # What we accept, llhttp accepts.
            httptools.HttpRequestParser(object()).feed_data(accepted + b"\r\n\r\n")


@given(st.lists(st.binary(min_size=1, max_size=50), max_size=6), st.integers(1, 9))
def test_chunks_round_trip_however_they_are_cut(pieces: list[bytes], step: int) -> None:
    wire = b"".join(map(chunk, pieces)) + b"0\r\nX-Trailer: x\r\n\r\nnext"
    decoder = ChunkedDecoder()
    got: list[bytes] = []
    rest = b""
    for at in range(0, len(wire), step):
        was_finished = decoder.finished
        if was_finished:
            rest += wire[at : at + step]
            continue
        got += decoder.feed(wire[at : at + step])
        rest += decoder.rest() if decoder.finished else b""
    assert b"".join(got) == b"".join(pieces)
    assert rest == b"next"
    assert decoder.trailers == b"\r\nX-Trailer: x"


@pytest.mark.parametrize(
    "wire", [b"0x1\r\na\r\n", b"1\r\nab\r\n", b" 1\r\n", b"+1\r\n", b"1\na\r\n", b"g\r\n"]
)
def test_odd_chunks_are_refused(wire: bytes) -> None:
    with pytest.raises(HttpError):
        ChunkedDecoder().feed(wire + b"0\r\n\r\n")


def test_hop_by_hop_fields_end_here() -> None:
    head = (
        b"GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close, X-Secret\r\nX-Secret: 1\r\n"
        b"Keep-Alive: 5\r\nTE: trailers\r\nAccept: */*"
    )
    forwarded = forwarded_request_head(parse_request_head(head), b"\r\nX-Ours: 1")
    assert forwarded == (
        b"GET / HTTP/1.1\r\nHost: a.test\r\nAccept: */*\r\nX-Ours: 1\r\n"
        # Ours, because we pass trailers on.
        b"Connection: TE\r\nTE: trailers\r\n\r\n"
    )


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 abc OK",
        b"ICY 200 OK",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked",
    ],
)
def test_bad_answers_are_refused(head: bytes) -> None:
    with pytest.raises(BadResponse):
        parse_response_head(head)
