"""Files as answers: by the kernel where it can, block by block where it cannot."""

from __future__ import annotations

import gzip
import io
import os
import ssl
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest
from net.certificates import certificates
from wsgi.running import get, running

from verdant import run_in_worker
from verdant.green.socket import socket
from verdant.wsgi import FileWrapper
from verdant.wsgi.files import sendable_bytes

if TYPE_CHECKING:
    from pathlib import Path

DATA = os.urandom(3_000_000)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    found = tmp_path / "file"
    found.write_bytes(DATA)
    return found


def application(open_file: Any, fields: list[tuple[str, str]], closed: list[Any]) -> Any:
    def app(environ: Any, start_response: Any) -> Any:
        file = open_file()
        closed.append(file)
        start_response("200 OK", fields)
        return environ["wsgi.file_wrapper"](file, 10_000)

    return app


@pytest.fixture
def by_kernel(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The bytes of each sendfile."""
    found: list[int] = []
    original = socket.sendfile

    def sendfile(self: Any, file: Any, offset: int = 0, count: int | None = None) -> int:
        sent = original(self, file, offset, count)
        found.append(sent)
        return sent

    monkeypatch.setattr(socket, "sendfile", sendfile)
    return found


@pytest.mark.parametrize("fields", [[], [("Content-Length", str(len(DATA)))]])
def test_a_file_is_sent_by_the_kernel(
    path: Path, fields: list[tuple[str, str]], by_kernel: list[int]
) -> None:
    closed: list[Any] = []
    with running(application(lambda: path.open("rb"), fields, closed)) as server:
        head, _, body = server.say(get(b"/", b"Connection: close")).partition(b"\r\n\r\n")
        assert b"Content-Length: %d" % len(DATA) in head
        assert body == DATA
        got = server.say(get() + get(method=b"HEAD") + get(b"/", b"Connection: close"))
        assert got.count(b"HTTP/1.1 200 OK") == 3
        assert len(got.replace(DATA, b"")) < 1000
    assert sum(by_kernel) == 3 * len(DATA)
    assert all(file.closed for file in closed)


def test_it_begins_where_the_file_stands(path: Path) -> None:
    def opened() -> Any:
        file = path.open("rb")
        file.read(100)
        return file

    with running(application(opened, [], [])) as server:
        assert server.say(get(b"/", b"Connection: close")).endswith(b"\r\n\r\n" + DATA[100:])


@pytest.mark.parametrize("length", [100, len(DATA) + 1])
def test_a_length_that_is_not_the_files(path: Path, length: int, by_kernel: list[int]) -> None:
    fields = [("Content-Length", str(length))]
    with running(application(lambda: path.open("rb"), fields, [])) as server:
        got = server.say(get() + get())
    if length == 100:
        assert got.count(b"HTTP/1.1") == 2
        assert got.endswith(b"\r\n\r\n" + DATA[:100])
    else:
        # Too short for its length: the connection ends with it.
        assert got.count(b"HTTP/1.1") == 1
        assert got.endswith(DATA)
    assert by_kernel


@pytest.mark.parametrize("kind", ["memory", "gzip"])
def test_what_is_no_plain_file_goes_in_blocks(
    tmp_path: Path, kind: str, by_kernel: list[int]
) -> None:
    packed = tmp_path / "file.gz"
    packed.write_bytes(gzip.compress(DATA))

    def opened() -> Any:
        return io.BytesIO(DATA) if kind == "memory" else gzip.open(packed)

    def ask(port: int) -> bytes:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/") as answer:
            return bytes(answer.read())

    with running(application(opened, [], [])) as server:
        assert run_in_worker(ask, server.port) == DATA
    assert not by_kernel


def test_over_tls(path: Path, by_kernel: list[int]) -> None:
    context = ssl.create_default_context(cafile=certificates().ca)

    def ask(port: int) -> bytes:
        with urllib.request.urlopen(f"https://localhost:{port}/", context=context) as answer:
            return bytes(answer.read())

    app = application(lambda: path.open("rb"), [], [])
    with running(app, tls=certificates().server_context()) as server:
        assert run_in_worker(ask, server.port) == DATA
    assert not by_kernel


def test_what_counts_as_a_plain_file(path: Path) -> None:
    with path.open("rb") as file:
        file.seek(10)
        assert sendable_bytes(file) == (10, len(DATA) - 10)
    read_fd, write_fd = os.pipe()
    with open(read_fd, "rb") as pipe:
        assert sendable_bytes(pipe) is None
    os.close(write_fd)
    with gzip.open(path) as packed:
        assert sendable_bytes(packed) is None
    assert sendable_bytes(object()) is None


def test_the_wrapper_closes_and_iterates() -> None:
    file = io.BytesIO(b"abcde")
    wrapper = FileWrapper(file, 2)
    assert list(wrapper) == [b"ab", b"cd", b"e"]
    wrapper.close()
    assert file.closed
