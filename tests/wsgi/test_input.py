"""Input: a request's body is a file, however it is framed and cut."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verdant.http import BadRequest, ConnectionLost, ServerConnection, chunk
from verdant.wsgi.input import Input

if TYPE_CHECKING:
    from collections.abc import Callable


class Memory:
    """A stream of given pieces."""

    broken = False

    def __init__(self, pieces: list[bytes]) -> None:
        self.pieces = pieces
        self.sent = b""
        self.sendall: Callable[[bytes], None] = self._take

    def recv(self, bytes_max: int) -> bytes:
        if not self.pieces:
            return b""
        piece = self.pieces.pop(0)
        if len(piece) > bytes_max:
            self.pieces.insert(0, piece[bytes_max:])
        return piece[:bytes_max]

    def _take(self, data: bytes) -> None:
        self.sent += data

    def send_eof(self) -> None: ...

    def abort(self) -> None: ...

    def is_stale(self) -> bool:
        return False

    def close(self) -> None: ...


def input_of(head: bytes, pieces: list[bytes], limit: int | None = None) -> tuple[Input, Memory]:
    stream = Memory([b"POST / HTTP/1.1\r\nHost: a\r\n" + head + b"\r\n", *pieces])
    connection = ServerConnection(stream)
    connection.read_request()
    return Input(connection, limit), stream


bodies = st.lists(
    st.binary(min_size=1, max_size=20) | st.sampled_from([b"\n", b"a\n", b"\n\nb"]), max_size=12
)
calls = st.lists(
    st.tuples(st.sampled_from(["read", "readline"]), st.integers(-1, 30) | st.none())
    | st.tuples(st.just("readlines"), st.integers(-1, 30))
    | st.tuples(st.just("next"), st.none()),
    max_size=20,
)


def call(file: Any, name: str, size: int | None) -> object:
    return next(file, b"") if name == "next" else getattr(file, name)(size)


@given(bodies, calls, st.booleans())
def test_it_is_a_file_to_its_end_and_no_further(
    pieces: list[bytes], asked: list[tuple[str, int | None]], chunked: bool
) -> None:
    body = b"".join(pieces)
    if chunked:
        head, sent = b"Transfer-Encoding: chunked\r\n", [*map(chunk, pieces), b"0\r\n\r\nGET /next"]
    else:
        head, sent = b"Content-Length: %d\r\n" % len(body), [*pieces, b"GET /next"]
    file, _ = input_of(head, sent)
    model = BytesIO(body)
    for name, size in asked:
        assert call(file, name, size) == call(model, name, size)
    assert file.read() == model.read()
    assert file.read() == file.readline() == b""


def test_reading_does_not_wait_for_more_than_was_asked_for() -> None:
    file, stream = input_of(b"Content-Length: 10\r\n", [b"ab\n", b"cd"])
    assert file.readline() == b"ab\n"
    assert stream.pieces == [b"cd"]
    assert file.read(2) == b"cd"


def test_a_client_that_leaves_is_no_end() -> None:
    for head in (b"Content-Length: 10\r\n", b"Transfer-Encoding: chunked\r\n"):
        file, _ = input_of(head, [b"5\r\nab"])
        with pytest.raises(ConnectionLost):
            file.read()


def test_the_limit_counts_what_comes() -> None:
    file, _ = input_of(b"Transfer-Encoding: chunked\r\n", [chunk(b"x" * 6), chunk(b"x" * 6)], 10)
    assert file.read(6) == b"x" * 6
    with pytest.raises(BadRequest) as found:
        file.read(6)
    assert found.value.status == 413


def test_continue_is_said_at_the_first_read() -> None:
    file, stream = input_of(b"Content-Length: 2\r\nExpect: 100-continue\r\n", [b"ab"])
    assert stream.sent == b""
    assert file.read(1) == b"a"
    assert file.read(1) == b"b"
    assert stream.sent == b"HTTP/1.1 100 Continue\r\n\r\n"
