"""WebSockets against a client and a server of another make, and against frames made by hand."""

from __future__ import annotations

import os
import socket as native
import ssl
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import pytest
from net.certificates import certificates
from websockets.exceptions import ConnectionClosedError, ConnectionClosedOK, InvalidStatus
from websockets.sync.client import connect as other_client
from websockets.sync.server import serve as other_server

from verdant import Event, GreenThread, Timeout, run_in_worker, sleep, spawn
from verdant.http import (
    BadResponse,
    HttpServer,
    Request,
    WebSocket,
    WebSocketClosed,
    connect_websocket,
    websocket_handler,
)
from verdant.http.handshake import accept_token
from verdant.net import bound_address, connect, listen

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HANDSHAKE = (
    b"GET / HTTP/1.1\r\nHost: a.test\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


def echo(websocket: WebSocket, _request: Request) -> None:
    for message in websocket:
        websocket.send(message)


@contextmanager
def serving(
    handle: Callable[[WebSocket, Request], object] = echo,
    *,
    tls: ssl.SSLContext | None = None,
    **options: Any,
) -> Iterator[tuple[int, HttpServer]]:
    listener = listen("127.0.0.1:0", tls=tls)
    server = HttpServer(listener, websocket_handler(handle, **options))
    server.start()
    address: Any = bound_address(listener)
    try:
        with Timeout(50):
            yield address.port, server
    finally:
        server.stop()


def test_the_token_is_that_of_the_standard() -> None:
    assert accept_token(b"dGhlIHNhbXBsZSBub25jZQ==") == b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


# A client of another make.


def converse(port: int, messages: list[Any], **options: Any) -> list[Any]:
    with other_client(f"ws://127.0.0.1:{port}/", max_size=None, **options) as client:
        answers = []
        for message in messages:
            client.send(message)
            answers.append(client.recv())
        return answers


def test_text_and_bytes_of_every_size_come_back() -> None:
    messages: list[Any] = ["", "héllo ✓ 𝄞", b"", b"\0\xff"]
    for size in (1, 125, 126, 65_535, 65_536, 3_000_000):
        messages += ["x" * size, os.urandom(size)]
    with serving(message_bytes_max=4_000_000) as (port, _):
        assert run_in_worker(converse, port, messages) == messages


@pytest.mark.parametrize("compression", [True, False])
def test_compression_is_used_only_where_it_is_offered(compression: bool) -> None:
    def look(port: int) -> tuple[bool, Any]:
        with other_client(f"ws://127.0.0.1:{port}/") as client:
            chosen = (
                client.response.headers.get("Sec-WebSocket-Extensions") if client.response else None
            )
            client.send("a" * 10_000)
            return bool(chosen), client.recv()

    with serving(compression=compression) as (port, _):
        assert run_in_worker(look, port) == (compression, "a" * 10_000)


def test_a_message_in_fragments_is_one() -> None:
    with serving() as (port, _):
        assert run_in_worker(converse, port, [["one ", "two ", "three"]]) == ["one two three"]


def test_fragments_are_sent_as_they_come() -> None:
    def handle(websocket: WebSocket, _request: Request) -> None:
        websocket.send(iter([b"a", b"b", b"c"]))

    def ask(port: int) -> list[Any]:
        with other_client(f"ws://127.0.0.1:{port}/") as client:
            return list(client.recv_streaming(decode=False))

    with serving(handle) as (port, _):
        assert run_in_worker(ask, port) == [b"a", b"b", b"c"]


def test_many_at_once() -> None:
    with serving() as (port, server):
        workers = [
            spawn(run_in_worker, converse, port, [f"{number}-{turn}" for turn in range(20)])
            for number in range(10)
        ]
        answers = [worker.wait() for worker in workers]
        assert answers == [[f"{n}-{turn}" for turn in range(20)] for n in range(10)]
        for _ in range(1000):
            if not server.connections:
                break
            sleep(0.01)
        assert not server.connections


def test_over_tls() -> None:
    # Not ours, whose sockets are green: this client has native threads of its own.
    context = ssl.create_default_context(cafile=certificates().ca)

    def ask(port: int) -> Any:
        with other_client(f"wss://localhost:{port}/", ssl=context) as client:
            client.send("x" * 500_000)
            return client.recv()

    with serving(tls=certificates().server_context()) as (port, _):
        assert run_in_worker(ask, port) == "x" * 500_000


def test_pings_of_the_client_are_answered() -> None:
    def ask(port: int) -> bool:
        with other_client(f"ws://127.0.0.1:{port}/") as client:
            return client.ping().wait(30)

    with serving() as (port, _):
        assert run_in_worker(ask, port)


def test_our_pings_are_answered() -> None:
    answered: list[bool] = []

    def handle(websocket: WebSocket, _request: Request) -> None:
        pong = websocket.ping()
        assert websocket.receive() == "go"
        answered.append(pong.wait(10))

    def ask(port: int) -> None:
        with other_client(f"ws://127.0.0.1:{port}/") as client:
            client.send("go")

    with serving(handle) as (port, _):
        run_in_worker(ask, port)
        for _ in range(1000):
            if answered:
                break
            sleep(0.01)
    assert answered == [True]


def test_a_message_over_the_limit_ends_with_1009() -> None:
    def ask(port: int) -> tuple[int, str]:
        with other_client(f"ws://127.0.0.1:{port}/") as client:
            with suppress(ConnectionClosedError):
                client.send("x" * 5_000_000)
            with pytest.raises(ConnectionClosedError) as found:
                client.recv()
            assert found.value.rcvd is not None
            return found.value.rcvd.code, found.value.rcvd.reason

    with serving(message_bytes_max=1000) as (port, _):
        assert run_in_worker(ask, port) == (1009, "a message is over 1000 bytes")


@pytest.mark.parametrize("limit", [10, 30])
def test_the_limit_is_in_bytes_of_all_fragments(limit: int) -> None:
    def ask(port: int) -> Any:
        with other_client(f"ws://127.0.0.1:{port}/") as client:
            client.send(["éé", "éé", "éé"])
            return client.recv()

    with serving(message_bytes_max=limit) as (port, _):
        if limit < 12:
            with pytest.raises(ConnectionClosedError):
                run_in_worker(ask, port)
        else:
            assert run_in_worker(ask, port) == "éééééé"


def test_the_handlers_return_is_an_orderly_end() -> None:
    def ask(port: int) -> int:
        with other_client(f"ws://127.0.0.1:{port}/") as client:
            with pytest.raises(ConnectionClosedOK) as found:
                client.recv()
            assert found.value.rcvd is not None
            return found.value.rcvd.code

    with serving(lambda *_: None) as (port, _):
        assert run_in_worker(ask, port) == 1000


def test_the_handlers_failure_is_1011_and_told(caplog: pytest.LogCaptureFixture) -> None:
    def handle(_websocket: WebSocket, _request: Request) -> None:
        raise RuntimeError("a bug")

    def ask(port: int) -> int:
        with other_client(f"ws://127.0.0.1:{port}/") as client:
            with pytest.raises(ConnectionClosedError) as found:
                client.recv()
            assert found.value.rcvd is not None
            return found.value.rcvd.code

    with serving(handle) as (port, _):
        assert run_in_worker(ask, port) == 1011
    assert "a bug" in caplog.text


def test_the_clients_close_ends_the_conversation_with_its_code() -> None:
    ended: list[tuple[int | None, str]] = []

    def handle(websocket: WebSocket, _request: Request) -> None:
        assert list(websocket) == ["bye"]
        ended.append((websocket.close_code, websocket.close_reason))
        with pytest.raises(WebSocketClosed):
            websocket.send("too late")
        with pytest.raises(WebSocketClosed) as found:
            websocket.receive()
        assert found.value.close_code == 3210

    def ask(port: int) -> None:
        with other_client(f"ws://127.0.0.1:{port}/") as client:
            client.send("bye")
            client.close(3210, "enough")

    with serving(handle) as (port, _):
        run_in_worker(ask, port)
        assert ended == [(3210, "enough")]


def test_a_stopping_server_says_1001_and_waits() -> None:
    def ask(port: int, ready: threading.Event) -> int:
        with other_client(f"ws://127.0.0.1:{port}/") as client:
            client.send("hello")
            client.recv()
            ready.set()
            with pytest.raises(ConnectionClosedOK) as found:
                client.recv()
            assert found.value.rcvd is not None
            return found.value.rcvd.code

    ready = threading.Event()
    with serving() as (port, server):
        code = spawn(run_in_worker, ask, port, ready)
        run_in_worker(ready.wait, 30)
        assert server.stop(30) == 0
        assert code.wait() == 1001


def test_subprotocols_and_origins() -> None:
    def ask(port: int, origin: str, protocols: list[Any]) -> str | None:
        with other_client(
            f"ws://127.0.0.1:{port}/", subprotocols=protocols, additional_headers={"Origin": origin}
        ) as client:
            return client.subprotocol

    with serving(protocols=["two", "one"], origins={"https://a.test"}) as (port, _):
        assert run_in_worker(ask, port, "https://a.test", ["one", "two"]) == "two"
        assert run_in_worker(ask, port, "https://a.test", ["three"]) is None
        with pytest.raises(InvalidStatus) as found:
            run_in_worker(ask, port, "https://b.test", ["one"])
        assert found.value.response.status_code == 403


# Frames by hand.


def say(port: int, data: bytes) -> bytes:
    """Everything that the server says to `data`, behind its 101."""
    stream = connect(("127.0.0.1", port))
    try:
        stream.sendall(data)
        stream.send_eof()
        got = b""
        while piece := stream.recv(65_536):
            got += piece
    finally:
        stream.close()
    return got


def frame(opcode: int, payload: bytes, *, final: bool = True, masked: bool = True) -> bytes:
    head = bytes([opcode | (0x80 if final else 0), len(payload) | (0x80 if masked else 0)])
    # A mask of zeros changes nothing.
    return head + (b"\0\0\0\0" if masked else b"") + payload


@pytest.mark.parametrize(
    ("frames", "code"),
    [
        (frame(1, b"\xff\xfe"), 1007),
        (frame(1, b"\xc3", final=False) + frame(0, b"x"), 1007),
        (frame(1, b"hello", masked=False), 1002),
        (frame(0, b"continued, but what?"), 1002),
        (frame(9, b"a ping in pieces", final=False), 1002),
        (frame(3, b"no such kind"), 1002),
        (frame(8, b"\x03\xe8bye"), 1000),
    ],
)
def test_what_breaks_the_rules_ends_with_its_code(frames: bytes, code: int) -> None:
    with serving() as (port, _):
        head, _, rest = say(port, HANDSHAKE + frames).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 101 ")
    assert b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in head
    assert rest[:1] == b"\x88"
    assert int.from_bytes(rest[2:4]) == code


def test_text_split_inside_a_letter_is_text() -> None:
    with serving() as (port, _):
        got = say(port, HANDSHAKE + frame(1, b"\xc3", final=False) + frame(0, b"\xa9"))
    assert "é".encode() in got


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (HANDSHAKE.replace(b"websocket", b"other"), b"426"),
        (HANDSHAKE.replace(b"keep-alive, Upgrade", b"keep-alive"), b"426"),
        (HANDSHAKE.replace(b"n: 13", b"n: 8"), b"426"),
        (HANDSHAKE.replace(b"b25jZQ==", b""), b"400"),
        (HANDSHAKE.replace(b"GET", b"PUT"), b"400"),
        (b"GET / HTTP/1.0\r\n\r\n", b"426"),
    ],
)
def test_what_is_no_handshake_is_refused(head: bytes, status: bytes) -> None:
    with serving() as (port, _):
        got = say(port, head)
    assert got.startswith(b"HTTP/1.1 " + status)
    assert (b"Sec-WebSocket-Version: 13" in got) == (b"n: 8" in head)


def test_a_peer_that_vanishes_is_1006() -> None:
    ended = Event()
    codes: list[int | None] = []

    def handle(websocket: WebSocket, _request: Request) -> None:
        assert list(websocket) == []
        codes.append(websocket.close_code)
        ended.set()

    with serving(handle) as (port, _):
        say(port, HANDSHAKE)
        assert ended.wait(20)
    assert codes == [1006]


def test_a_silent_peer_is_asked_and_then_given_up() -> None:
    codes: list[int | None] = []
    ended = Event()

    def handle(websocket: WebSocket, _request: Request) -> None:
        assert list(websocket) == []
        codes.append(websocket.close_code)
        ended.set()

    with (
        serving(handle, ping_s=0.05) as (port, _),
        native.create_connection(("127.0.0.1", port)) as silent,
    ):
        silent.sendall(HANDSHAKE)
        assert ended.wait(20)
        data = silent.recv(65_536)
    assert data.endswith(b"\x89\0")
    assert codes == [1006]


def test_a_close_that_nobody_answers_ends_in_time() -> None:
    codes: list[int | None] = []
    ended = Event()

    def handle(websocket: WebSocket, _request: Request) -> None:
        websocket.close()
        codes.append(websocket.close_code)
        ended.set()

    with (
        serving(handle, close_s_max=0.05) as (port, _),
        native.create_connection(("127.0.0.1", port)) as silent,
    ):
        silent.sendall(HANDSHAKE)
        assert ended.wait(20)
    assert codes == [1006]


def test_a_timeout_around_receive_loses_nothing() -> None:
    got: list[str | bytes] = []
    waits = 0

    def handle(websocket: WebSocket, _request: Request) -> None:
        nonlocal waits
        while not got:
            try:
                with Timeout(0.01):
                    got.append(websocket.receive())
            except Timeout:
                waits += 1
                half_way.set()

    half_way = Event()
    with serving(handle) as (port, _):
        stream = connect(("127.0.0.1", port))
        whole = frame(1, b"hello ", final=False) + frame(0, b"world")
        stream.sendall(HANDSHAKE + whole[:15])
        half_way.wait()
        stream.sendall(whole[15:])
        while stream.recv(1000):
            if got:
                break
        stream.close()
    assert got == ["hello world"]
    assert waits


def test_senders_do_not_mix_their_frames() -> None:
    senders: list[GreenThread[None]] = []

    def send(websocket: WebSocket, number: int) -> None:
        for _ in range(5):
            websocket.send(bytes([number]) * 300_000)

    def handle(websocket: WebSocket, _request: Request) -> None:
        senders.extend(spawn(send, websocket, number) for number in range(8))
        for sender in senders:
            sender.wait()

    def read(port: int) -> list[tuple[int, int]]:
        with other_client(f"ws://127.0.0.1:{port}/", max_size=None) as client:
            return [(message[0], len(set(message))) for message in client]  # type: ignore[misc] # bytes

    with serving(handle) as (port, _):
        found = run_in_worker(read, port)
    assert sorted(found) == sorted((number, 1) for number in range(8) for _ in range(5))


# Our client against a server of another make.


@contextmanager
def other_serving(handle: Callable[[Any], None], **options: Any) -> Iterator[str]:
    with other_server(handle, "127.0.0.1", 0, **options) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            with Timeout(50):
                yield f"127.0.0.1:{server.socket.getsockname()[1]}"
        finally:
            server.shutdown()
            run_in_worker(thread.join, 20)


def other_echo(connection: Any) -> None:
    for message in connection:
        connection.send(message)


@pytest.mark.parametrize("compression", [True, False])
def test_our_client_speaks_to_it(compression: bool) -> None:
    with (
        other_serving(other_echo, max_size=None) as place,
        connect_websocket(
            f"ws://{place}/path?query", compression=compression, message_bytes_max=2_000_000
        ) as websocket,
    ):
        for message in ("", "é✓", b"\0" * 1_000_000, "a" * 100_000):
            websocket.send(message)
            assert websocket.receive() == message
        websocket.close(3000, "done")
        assert (websocket.close_code, websocket.close_reason) == (3000, "done")


def test_our_client_over_tls_checks_the_name() -> None:
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificates().server)
    context = certificates().client_context()
    with (
        other_serving(other_echo, ssl=server) as place,
        connect_websocket(f"wss://{place}/", tls=context) as websocket,
    ):
        websocket.send("hello")
        assert websocket.receive() == "hello"
    server.load_cert_chain(certificates().other)
    with (
        other_serving(other_echo, ssl=server) as place,
        pytest.raises(ssl.SSLCertVerificationError),
    ):
        connect_websocket(f"wss://{place}/", tls=context)


def test_our_client_agrees_on_a_protocol_and_sends_headers() -> None:
    def handle(connection: Any) -> None:
        connection.send(f"{connection.subprotocol} {connection.request.headers['Origin']}")

    with other_serving(handle, subprotocols=["chat"]) as place:
        websocket = connect_websocket(
            f"ws://{place}/", protocols=["chat"], headers=[(b"Origin", b"https://a.test")]
        )
        assert websocket.subprotocol == "chat"
        assert list(websocket) == ["chat https://a.test"]
        assert websocket.close_code == 1000
        websocket.close()


def test_our_client_takes_no_other_answer() -> None:
    with (
        other_serving(other_echo, origins=["https://a.test"]) as place,
        pytest.raises(BadResponse, match="status 403"),
    ):
        connect_websocket(f"ws://{place}/")
    with pytest.raises(ValueError, match="URL of a WebSocket"):
        connect_websocket("http://127.0.0.1/")


def test_our_two_ends_understand_each_other() -> None:
    with (
        serving(compression=True) as (port, _),
        connect_websocket(f"ws://127.0.0.1:{port}/", compression=True) as websocket,
    ):
        pong = websocket.ping(b"there?")
        websocket.send(part for part in ("a", "b", "c"))
        assert websocket.receive() == "abc"
        assert pong.is_set()
