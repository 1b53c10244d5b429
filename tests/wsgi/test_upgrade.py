"""WebSockets as WSGI applications, beside ordinary ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from websockets.sync.client import connect as other_client
from wsgi.running import get, running

from verdant import run_in_worker, spawn
from verdant.wsgi import websocket

if TYPE_CHECKING:
    from collections.abc import Iterable

    from verdant.http import WebSocket


@websocket
def echo(conversation: WebSocket, environ: Any) -> None:
    conversation.send(environ["PATH_INFO"] + "?" + environ["QUERY_STRING"])
    for message in conversation:
        conversation.send(message)


@websocket(  # type: ignore[untyped-decorator] # an application, or a decorator
    message_bytes_max=10, protocols=["chat"]
)
def narrow(conversation: WebSocket, _: Any) -> None:
    conversation.send(conversation.subprotocol or "")


def site(environ: Any, start_response: Any) -> Iterable[bytes]:
    if environ["PATH_INFO"].startswith("/ws"):
        return echo(environ, start_response)  # type: ignore[no-any-return]
    if environ["PATH_INFO"] == "/narrow":
        return narrow(environ, start_response)  # type: ignore[no-any-return]
    start_response("200 OK", [])
    return [b"an ordinary page"]


def converse(url: str, messages: list[Any], **options: Any) -> list[Any]:
    with other_client(url, max_size=None, **options) as client:
        answers = [client.recv()]
        for message in messages:
            client.send(message)
            answers.append(client.recv())
        return answers


def test_a_conversation_in_an_application() -> None:
    lines: list[str] = []
    with running(site, log=lines.append) as server:
        url = f"ws://127.0.0.1:{server.port}"
        messages: list[Any] = ["hello", b"\0" * 500_000]
        assert run_in_worker(converse, f"{url}/ws/a?b", messages) == ["/ws/a?b", *messages]
        assert run_in_worker(lambda: converse(f"{url}/narrow", [], subprotocols=["chat"])) == [
            "chat"
        ]
        assert b"an ordinary page" in server.say(get())
    assert [line.split('"')[2].split()[0] for line in lines] == ["101", "101", "200"]


def test_many_conversations_and_pages_at_once() -> None:
    with running(site) as server:
        url = f"ws://127.0.0.1:{server.port}/ws"
        talks = [spawn(run_in_worker, converse, url, [str(n)] * 20) for n in range(8)]
        pages = [spawn(server.say, get() * 20) for _ in range(8)]
        assert [talk.wait() for talk in talks] == [["/ws?"] + [str(n)] * 20 for n in range(8)]
        assert [page.wait().count(b"an ordinary page") for page in pages] == [20] * 8


def test_an_ordinary_request_is_told_what_is_here() -> None:
    with running(site) as server:
        got = server.say(get(b"/ws") + get(b"/other"))
    assert got.startswith(b"HTTP/1.1 426 ")
    assert b"\r\nUpgrade: websocket\r\n" in got
    assert got.endswith(b"an ordinary page")


def test_other_servers_offer_none() -> None:
    answers: list[str] = []
    body = echo({}, lambda status, _: answers.append(status))
    assert answers == ["501 Not Implemented"]
    assert list(body) == [b"This server offers no WebSockets to its applications.\n"]


def test_the_door_knows_no_other_names() -> None:
    import verdant.wsgi

    with pytest.raises(AttributeError):
        _ = verdant.wsgi.nothing
