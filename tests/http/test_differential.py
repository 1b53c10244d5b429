"""Whatever we accept, llhttp and h11 accept and read alike: changed requests, chunks, answers.

Not compared: methods that llhttp has never heard of, its stop at an Upgrade, empty lines before a
request, which h11 refuses, and HTTP/1.0 connections, which h11 does not keep.
"""

from __future__ import annotations

import re

from http_corpus import CASES
from http_memory import MemoryStream, talk
from http_oracles import answer_by_h11, read_by_h11, read_by_llhttp
from hypothesis import given
from hypothesis import strategies as st

from verdant.http import ChunkedDecoder, ClientConnection, HttpError

BODY_BYTES_MAX = 1 << 20
# llhttp's list, as far as the corpus has them or a changed byte makes one.
METHODS = re.compile(rb"(?:GET|POST|PUT|HEAD|DELETE|TRACE|OPTIONS|PURGE|PATCH)").fullmatch

SMALL = [case.data for case in CASES if len(case.data) <= 1000]
ODD = st.sampled_from([bytes((char,)) for char in b'\r\n\t\0 :;,=0159afAxX-_+\x0b\x7f\x80\xff"#/'])
TEXT = st.lists(ODD | st.sampled_from([b"\r\n", b"chunked", b"\r\n ", b"\n\n"]), max_size=3)


@st.composite
def changed(draw: st.DrawFn) -> bytes:
    """One of the corpus, a few of its bytes replaced by odd ones."""
    data = draw(st.sampled_from(SMALL))
    for _ in range(draw(st.integers(1, 2))):
        at = draw(st.integers(0, len(data)))
        length = draw(st.integers(0, 2))
        data = data[:at] + b"".join(draw(TEXT)) + data[at + length :]
    return data


@given(changed())
def test_changed_requests_are_read_alike_by_all_or_refused_by_us(data: bytes) -> None:
    seen, _ = talk([data], BODY_BYTES_MAX)
    assert talk([data[at : at + 1] for at in range(len(data))], BODY_BYTES_MAX)[0] == seen
    if not seen:
        return
    if data[0] != 0x0D:
        assert read_by_h11(data)[0].seen() == seen[0]
    if METHODS(seen[0][0]) and b"pgrade" not in data:
        assert read_by_llhttp(data)[0].seen() == seen[0]


CHUNKS = st.lists(
    st.sampled_from(
        [
            b"5\r\nhello\r\n",
            b"0\r\n\r\n",
            b"0\r\n",
            b"\r\n",
            b"1\r\n",
            b"a",
            b"A\r\n0123456789\r\n",
            b"\n",
            b"\r",
            b";a",
            b"=b",
            b'="c"',
            b" ",
            b"\t",
            b"+",
            b"0x",
            b"X-T: 1\r\n",
            b"00",
            b"1;a=b\r\nz\r\n",
            b"ffffffff\r\n",
            b";",
            b"2\r\n\r\n\r\n",
            b'1;a="\t b"\r\nz\r\n',
            b"\0",
            b"\xb2",
        ]
    ),
    max_size=8,
)


def decoded(pieces: list[bytes]) -> tuple[bytes, bytes] | None:
    """The body of chunks that come in pieces, and what is left; None for no whole body."""
    decoder = ChunkedDecoder()
    body = rest = b""
    finished = False
    try:
        for piece in pieces:
            if finished:
                rest += piece
                continue
            body += b"".join(decoder.feed(piece))
            finished = decoder.finished
            if finished:
                rest += decoder.rest()
    except HttpError:
        return None
    return (body, rest) if finished else None


@given(CHUNKS)
def test_chunks_are_read_alike_by_all_or_refused_by_us(chunks: list[bytes]) -> None:
    wire = b"".join(chunks)
    found = decoded([wire])
    assert decoded([wire[at : at + 1] for at in range(len(wire))]) == found
    if found is None:
        return
    head = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    whole = head + wire[: len(wire) - len(found[1])]
    for read in (read_by_h11, read_by_llhttp):
        assert [message.body for message in read(whole)] == [found[0]]


STATUS_LINES = st.sampled_from(
    [
        b"HTTP/1.1 200 OK",
        b"HTTP/1.1 200",
        b"HTTP/1.1 200 ",
        b"HTTP/1.0 200 OK",
        b"HTTP/1.1 204 No",
        b"HTTP/1.1 304 x",
        b"HTTP/1.1 20 OK",
        b"HTTP/1.1 2000 OK",
        b"HTTP/1.1  200 OK",
        b"HTTP/1.2 200 OK",
        b"http/1.1 200 OK",
        b"HTTP/1.1 200 O\x00K",
        b"HTTP/1.1 +20 OK",
        b"HTTP/1.1\t200 OK",
        b"\r\nHTTP/1.1 200 OK",
        b"ICY 200 OK",
        b"HTTP/1.1 404 caf\xe9",
        b"HTTP/1.1 099 x",
        b"HTTP/1.1 999 x",
        b"HTTP/1.1 200\tOK",
    ]
)
ANSWER_FIELDS = st.lists(
    st.sampled_from(
        [
            b"Content-Length: 5",
            b"Content-Length: 0",
            b"content-length: 5",
            b"Content-Length: 5, 5",
            b"Content-Length: +5",
            b"Content-Length : 5",
            b"Content-Length: 5\nX: y",
            b"Transfer-Encoding: chunked",
            b"Transfer-Encoding: gzip, chunked",
            b"Transfer-Encoding: identity",
            b"Connection: close",
            b"Connection: keep-alive",
            b"X-A: 1\r\n b",
            b"X-A: \0",
            b"X-A:",
            b"X-A: \xe9",
            b" X-A: 1",
            b"X A: 1",
        ]
    ),
    max_size=3,
)
ANSWER_BODIES = st.sampled_from(
    [b"hello", b"", b"5\r\nhello\r\n0\r\n\r\n", b"hellohello", b"5\nhello", b"0\r\n\r\n"]
)


@given(STATUS_LINES, ANSWER_FIELDS, ANSWER_BODIES)
def test_answers_are_read_alike_by_all_or_refused_by_us(
    line: bytes, lines: list[bytes], body: bytes
) -> None:
    data = b"\r\n".join([line, *lines, b"", body])
    connection = ClientConnection(MemoryStream([data]))
    try:
        head = connection.read_response(b"GET")
        got = b""
        while piece := connection.read_body_piece():
            got += piece
    except HttpError:
        return
    theirs = answer_by_h11(data)
    assert theirs is not None
    assert (theirs.status, theirs.body) == (head.status, got)
    # A mere keep-alive is taken out of a plain head.
    assert [pair for pair in theirs.fields if pair[0] != b"connection"] == [
        (name.lower(), value) for name, value in head.headers if name.lower() != b"connection"
    ]
    if not head.until_close:
        message = read_by_llhttp(data, answers=True)[0]
        assert (message.status, message.body) == (head.status, got)
