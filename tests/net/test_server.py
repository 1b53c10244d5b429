"""The server: limits, drains, failures of one connection that touch no other."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from verdant import Event, Timeout, sleep, spawn
from verdant.net import Server, Stream, bound_address, connect, listen, serve

if TYPE_CHECKING:
    from collections.abc import Callable


def address_of(listener: Any) -> tuple[str, int]:
    found: Any = bound_address(listener)
    return "127.0.0.1", found.port


def echo(stream: Stream) -> None:
    while data := stream.recv(1000):
        stream.sendall(data)


def ask(address: tuple[str, int], data: bytes) -> bytes:
    stream = connect(address)
    try:
        stream.sendall(data)
        stream.send_eof()
        got = b""
        while piece := stream.recv(1000):
            got += piece
        return got
    finally:
        stream.close()


def test_serve_serves_until_it_is_cancelled() -> None:
    listener = listen("127.0.0.1:0")
    address = address_of(listener)
    serving = spawn(serve, listener, echo)
    with Timeout(30):
        workers = [spawn(ask, address, b"%d" % number) for number in range(50)]
        assert [worker.wait() for worker in workers] == [b"%d" % number for number in range(50)]
        serving.cancel()
        serving.join()
    assert listener.fileno() == -1
    with pytest.raises(OSError, match="refused"):
        connect(address)


def test_serve_gives_what_is_open_its_grace() -> None:
    begun, go_on = Event(), Event()
    finished: list[str] = []

    def handle(stream: Stream) -> None:
        begun.set()
        go_on.wait()
        stream.sendall(b"done")
        finished.append("whole")

    def run() -> None:
        serve(listener, handle, 10, grace_s=30)

    listener = listen("127.0.0.1:0")
    serving = spawn(run)
    with Timeout(30):
        stream = connect(address_of(listener))
        begun.wait()
        serving.cancel()
        while listener.fileno() != -1:
            sleep(0)
        go_on.set()
        assert stream.recv(100) == b"done"
        serving.join()
        stream.close()
    assert finished == ["whole"]


def test_no_more_than_the_limit_at_once() -> None:
    running = 0
    most = 0
    leave = Event()

    def handle(stream: Stream) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        leave.wait()
        running -= 1
        echo(stream)

    listener = listen("127.0.0.1:0")
    server = Server(listener, handle, connections_max=3)
    server.start()
    with Timeout(30):
        workers = [spawn(ask, address_of(listener), b"x") for _ in range(10)]
        while running < 3:
            sleep(0)
        for _ in range(50):
            sleep(0)
        assert (running, server.connections) == (3, 3)
        leave.set()
        assert [worker.wait() for worker in workers] == [b"x"] * 10
        assert server.stop() == 0
    assert most == 3


def test_stop_breaks_what_does_not_end_and_counts_it() -> None:
    held: list[str] = []

    def handle(stream: Stream) -> None:
        try:
            stream.recv(1)
        finally:
            held.append("cleaned up")

    listener = listen("127.0.0.1:0")
    server = Server(listener, handle)
    server.start()
    with Timeout(30):
        streams = [connect(address_of(listener)) for _ in range(3)]
        while server.connections < 3:
            sleep(0)
        assert server.stop(0.01) == 3
        assert [stream.recv(1) for stream in streams] == [b""] * 3
        for stream in streams:
            stream.close()
    assert held == ["cleaned up"] * 3
    assert server.connections == 0


def test_a_handler_may_stop_its_own_server() -> None:
    stopped: list[int] = []

    def handle(stream: Stream) -> None:
        stopped.append(server.stop(1))
        stream.sendall(b"bye")

    listener = listen("127.0.0.1:0")
    server = Server(listener, handle)
    server.start()
    with Timeout(30):
        assert ask(address_of(listener), b"") == b"bye"
    assert stopped == [0]


def test_a_failing_handler_touches_no_other_connection(caplog: pytest.LogCaptureFixture) -> None:
    def handle(stream: Stream) -> None:
        if stream.recv(1) == b"!":
            raise RuntimeError("a bug")
        stream.sendall(b"well")

    listener = listen("127.0.0.1:0")
    server = Server(listener, handle)
    server.start()
    with Timeout(30):
        assert ask(address_of(listener), b"!") == b""
        assert ask(address_of(listener), b".") == b"well"
        server.stop()
    assert "a bug" in caplog.text


def refused() -> None:
    listener = listen("127.0.0.1:0")
    address = address_of(listener)
    listener.close()
    connect(address)


@pytest.mark.parametrize(
    "fails",
    [refused, lambda: open("/nowhere/at/all"), lambda: os.read(-1, 1)],  # noqa: SIM115
    ids=["another connection", "a file", "a descriptor"],
)
def test_a_handlers_own_error_is_told_though_it_is_an_oserror(
    fails: Callable[[], object], caplog: pytest.LogCaptureFixture
) -> None:
    def handle(stream: Stream) -> None:
        stream.recv(1)
        fails()

    listener = listen("127.0.0.1:0")
    server = Server(listener, handle)
    server.start()
    with Timeout(30):
        stream = connect(address_of(listener))
        stream.sendall(b"x")
        assert stream.recv(1) == b""
        stream.close()
        server.stop()
    (record,) = (record for record in caplog.records if record.name == "verdant.net")
    assert record.levelname == "ERROR"
    assert record.exc_info is not None
    assert isinstance(record.exc_info[1], OSError)


@pytest.mark.parametrize("how", ["reset", "end", "cut by the server"])
def test_a_peer_that_has_gone_is_no_failure_of_the_handler(
    how: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG", "verdant.net")
    begun, ended = Event(), Event()

    def handle(stream: Stream) -> None:
        begun.set()
        try:
            if how == "end":
                while stream.recv(100):
                    pass
                raise ConnectionError("the message was not whole")
            if how == "cut by the server":
                stream.abort()
            while True:
                stream.sendall(bytes(100_000))
        finally:
            ended.set()

    listener = listen("127.0.0.1:0")
    server = Server(listener, handle)
    server.start()
    with Timeout(30):
        stream = connect(address_of(listener))
        begun.wait()
        if how == "reset":
            stream.break_off()
        elif how == "end":
            stream.send_eof()
        ended.wait()
        stream.close()
        server.stop()
    (record,) = (record for record in caplog.records if record.name == "verdant.net")
    assert record.levelname == "DEBUG"
