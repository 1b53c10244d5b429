"""Libraries made for asyncio, unchanged: aiohttp and zmq.asyncio, called from both sides."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING

import aiohttp
import pytest
import trustme
import zmq
import zmq.asyncio
from aiohttp import web

from verdant import Queue, TimedOut, Timeout, aio, sleep, spawn
from verdant.green import socket as green_socket

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

# The longest that a request may take which nobody holds up.
SOON = aiohttp.ClientTimeout(total=20)


async def shout(request: web.Request) -> web.Response:
    """Answer by straight-line code in a green thread."""
    body = await request.read()

    def straight() -> bytes:
        sleep(0)
        return body.upper() or request.path.encode()

    return web.Response(body=await aio.spawn(straight))


async def hang(request: web.Request) -> web.Response:
    await asyncio.Event().wait()
    raise AssertionError


async def stream(request: web.Request) -> web.StreamResponse:
    answer = web.StreamResponse()
    await answer.prepare(request)
    for number in range(100):
        await answer.write(b"%d\n" % number)
    return answer


async def chat(request: web.Request) -> web.WebSocketResponse:
    answer = web.WebSocketResponse()
    await answer.prepare(request)
    async for message in answer:
        await answer.send_str(message.data[::-1])
    return answer


@asynccontextmanager
async def serving(tls: ssl.SSLContext | None = None) -> AsyncIterator[tuple[str, int]]:
    app = web.Application()
    app.router.add_route("*", "/hang", hang)
    app.router.add_get("/stream", stream)
    app.router.add_get("/chat", chat)
    app.router.add_route("*", "/{rest:.*}", shout)
    runner = web.AppRunner(app, shutdown_timeout=0.01)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
    await site.start()
    try:
        address = runner.addresses[0]
        yield address[0], address[1]
    finally:
        await runner.cleanup()


@contextmanager
def served_to_green_code() -> Iterator[tuple[str, int]]:
    """The same, entered and left by green code: the server lives in the background loop."""
    context = serving()
    address = aio.wait(context.__aenter__())
    try:
        yield address
    finally:
        aio.wait(context.__aexit__(None, None, None))


def test_aiohttp_client_and_server_in_one_program() -> None:
    async def main() -> None:
        async with serving() as (host, port), aiohttp.ClientSession(timeout=SOON) as session:
            url = f"http://{host}:{port}"

            async def fetch(number: int) -> bytes:
                async with session.post(f"{url}/", data=f"abc{number}") as answer:
                    assert answer.status == 200
                    return await answer.read()

            answers = await asyncio.gather(*[fetch(number) for number in range(50)])
            assert answers == [b"ABC%d" % number for number in range(50)]
            async with session.get(f"{url}/stream") as answer:
                lines = [line async for line in answer.content]
                assert lines == [b"%d\n" % number for number in range(100)]
            async with session.ws_connect(f"{url}/chat") as socket:
                await socket.send_str("abc")
                assert await socket.receive_str() == "cba"

    aio.run(main())


def test_aiohttp_over_tls() -> None:
    authority = trustme.CA()
    here, there = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.issue_cert("127.0.0.1").configure_cert(here)
    authority.configure_trust(there)

    async def main() -> bytes:
        async with (
            serving(here) as (host, port),
            aiohttp.ClientSession(timeout=SOON) as session,
            session.get(f"https://{host}:{port}/path", ssl=there) as answer,
        ):
            return await answer.read()

    assert aio.run(main()) == b"/path"


def test_green_threads_share_one_aiohttp_session() -> None:
    async def open_session() -> aiohttp.ClientSession:
        return aiohttp.ClientSession(timeout=SOON)

    async def fetch(url: str) -> bytes:
        async with session.get(url) as answer:
            return await answer.read()

    with served_to_green_code() as (host, port):
        session = aio.wait(open_session())
        threads = [spawn(aio.wait, fetch(f"http://{host}:{port}/{n}")) for n in range(50)]
        assert [thread.wait() for thread in threads] == [b"/%d" % n for n in range(50)]
        aio.wait(session.close())


def test_a_green_client_and_an_aiohttp_server() -> None:
    with (
        served_to_green_code() as address,
        green_socket.create_connection(address) as sock,
        sock.makefile("rb") as answer,
    ):
        for _ in range(3):
            sock.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc")
            head = b"".join(iter(answer.readline, b"\r\n"))
            assert head.startswith(b"HTTP/1.1 200")
            assert answer.read(3) == b"ABC"


def test_a_green_timeout_ends_an_aiohttp_request_and_leaves_the_session_whole() -> None:
    async def open_session() -> aiohttp.ClientSession:
        return aiohttp.ClientSession(timeout=SOON)

    async def fetch(url: str) -> bytes:
        async with session.get(url) as answer:
            return await answer.read()

    with served_to_green_code() as (host, port):
        session = aio.wait(open_session())
        with pytest.raises(Timeout), Timeout(0.05):
            aio.wait(fetch(f"http://{host}:{port}/hang"))
        with pytest.raises(TimedOut):
            aio.wait(fetch(f"http://{host}:{port}/hang"), timeout=0.05)
        assert aio.wait(fetch(f"http://{host}:{port}/next")) == b"/next"
        aio.wait(session.close())


def test_zmq_asyncio_between_tasks_and_green_threads() -> None:
    async def main() -> list[bytes]:
        context = zmq.asyncio.Context()
        server, client = context.socket(zmq.REP), context.socket(zmq.REQ)
        port = server.bind_to_random_port("tcp://127.0.0.1")
        client.connect(f"tcp://127.0.0.1:{port}")

        def straight(question: bytes) -> bytes:
            sleep(0)
            return question.upper()

        async def serve() -> None:
            for _ in range(20):
                await server.send(await aio.spawn(straight, await server.recv()))

        async def ask(number: int) -> bytes:
            await client.send(b"q%d" % number)
            return await client.recv()

        serving = asyncio.create_task(serve())
        answers = [await ask(number) for number in range(20)]
        await serving
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await server.recv()
        context.destroy(linger=0)
        return answers

    assert aio.run(main()) == [b"Q%d" % number for number in range(20)]


def test_zmq_asyncio_feeds_a_green_queue() -> None:
    async def pull() -> None:
        context = zmq.asyncio.Context()
        receiver, sender = context.socket(zmq.PULL), context.socket(zmq.PUSH)
        port = receiver.bind_to_random_port("tcp://127.0.0.1")
        sender.connect(f"tcp://127.0.0.1:{port}")
        poller = zmq.asyncio.Poller()
        poller.register(receiver, zmq.POLLIN)
        for number in range(100):
            await sender.send(b"%d" % number)
        for _ in range(100):
            assert await poller.poll()
            # A green queue that is full holds up this task, and not the loop.
            await aio.spawn(queue.put, await receiver.recv())
        context.destroy(linger=0)

    queue: Queue[bytes] = Queue(3)
    pulling = spawn(aio.wait, pull())
    assert [queue.get() for _ in range(100)] == [b"%d" % number for number in range(100)]
    pulling.wait()
