"""WebSockets through the proxy, with a client and a server of another make; and raw upgrades."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from balancer.stage import eventually
from websockets.sync.client import connect as other_client
from websockets.sync.server import serve as other_server

from verdant import Event, run_in_worker

if TYPE_CHECKING:
    from balancer.stage import Peer, Stage
    from websockets.sync.server import ServerConnection

UPGRADE = b"GET /chat HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade\r\nUpgrade: talk\r\n\r\n"


def test_a_websocket_client_talks_to_a_websocket_server(stage: Stage) -> None:
    def echo(websocket: ServerConnection) -> None:
        for message in websocket:
            websocket.send(message)

    with other_server(echo, "127.0.0.1", 0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            port = server.socket.getsockname()[1]
            stage.rule(["127.0.0.1", port], host="127.0.0.1")
            where = f"ws://{stage.service.addresses[0]}/chat"

            def talk() -> list[object]:
                with other_client(where, max_size=None) as websocket:
                    heard: list[object] = []
                    for message in ("one", b"two", "x" * 1_000_000):
                        websocket.send(message)
                        heard.append(websocket.recv())
                    return heard

            assert run_in_worker(talk) == ["one", b"two", "x" * 1_000_000]
        finally:
            run_in_worker(server.shutdown)
            run_in_worker(thread.join)


def test_half_closes_pass_both_ways(stage: Stage) -> None:
    heard: list[bytes] = []
    go = Event()

    def talk(peer: Peer) -> None:
        peer.head()
        peer.say(
            b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: talk\r\n\r\nhello"
        )
        heard.append(peer.everything())
        go.wait()
        # The client has finished; we have not.
        peer.say(b"and bye")
        peer.stream.send_eof()

    stage.rule(stage.backend(talk))
    client = stage.client()
    # What a client says ahead of the answer is the new protocol's, if it comes to that.
    client.say(UPGRADE + b"early ")
    head = client.head()
    assert head.startswith(b"HTTP/1.1 101")
    assert b"Upgrade: talk" in head
    client.say(b"words")
    client.stream.send_eof()
    eventually(lambda: heard)
    assert heard == [b"early words"]
    go.set()
    assert client.everything() == b"helloand bye"
    eventually(lambda: stage.states()[0]["open_requests"] == 0)


def test_a_backend_that_stays_with_http_answers_as_ever(stage: Stage) -> None:
    backend = stage.backend()
    stage.rule(backend)
    client = stage.client()
    for _ in range(2):
        client.say(UPGRADE)
        assert client.answer()[2] == b"hello"
    assert b"Upgrade: talk" in backend.heads[0]


def test_an_upgraded_connection_ends_with_its_backend(stage: Stage) -> None:
    def talk(peer: Peer) -> None:
        peer.head()
        peer.say(
            b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: talk\r\n\r\n"
        )
        peer.everything()

    backend = stage.backend(talk)
    stage.rule(backend, idle_timeout_s=0.05)
    client = stage.client()
    client.say(UPGRADE)
    client.head()
    backend.kill()
    # We hear of its end, say nothing, and are not kept for ever.
    client.everything()
    eventually(lambda: stage.states()[0]["open_requests"] == 0)
