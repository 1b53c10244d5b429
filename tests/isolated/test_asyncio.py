"""Asyncio in a green thread under the patch, where its own parts are green as well."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

# In its debug mode asyncio warns of every step that takes longer than 0.1 s: on a busy machine, of
# any.
HEAD = """
import logging
logging.getLogger("asyncio").setLevel(logging.ERROR)
import asyncio, os, socket, subprocess, sys, threading, time
from verdant import Event, TimedOut, aio
"""


def test_streams_children_and_unix_sockets(run_patched: Callable[..., str], tmp_path: Path) -> None:
    run_patched(
        HEAD
        + """
async def echo(reader, writer):
    while line := await reader.readline():
        writer.write(line.upper())
        await writer.drain()
    writer.close()

async def ask(reader, writer):
    writer.write(b"hello" * 100_000 + b"\\n")
    answer = await reader.readline()
    writer.close()
    await writer.wait_closed()
    return answer

async def main():
    big = 2 ** 20
    server = await asyncio.start_server(echo, "127.0.0.1", 0, limit=big)
    async with server:
        address = server.sockets[0].getsockname()
        def straight():
            # The stdlib's blocking socket, green by the patch, against the loop's own server.
            with socket.create_connection(address) as sock:
                sock.sendall(b"straight\\n")
                return sock.makefile("rb").readline()
        streams = await asyncio.open_connection(*address, limit=big)
        assert await ask(*streams) == b"HELLO" * 100_000 + b"\\n"
        assert await asyncio.gather(*[aio.spawn(straight) for _ in range(20)]) == (
            [b"STRAIGHT\\n"] * 20
        )
    async with await asyncio.start_unix_server(echo, sys.argv[1], limit=big):
        streams = await asyncio.open_unix_connection(sys.argv[1], limit=big)
        assert len(await ask(*streams)) == 500_001
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", "import sys; print(sys.stdin.read()[::-1]); sys.exit(4)",
        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert await child.communicate(b"abc") == (b"cba\\n", None)
    assert child.returncode == 4
aio.run(main())
aio.wait(main())
""",
        str(tmp_path / "socket"),
    )


def test_a_coroutine_that_blocks_keeps_its_loop_alone(run_patched: Callable[..., str]) -> None:
    run_patched(
        HEAD
        + """
seen = []
def other():
    for _ in range(5):
        time.sleep(0)
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            seen.append(None)
    return aio.wait(asyncio.sleep(0, "its own"))

async def main():
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    lock = threading.Lock()
    lock.acquire()
    for block in (
        lambda: time.sleep(0.001),
        lambda: subprocess.run(["true"], check=True),
        lambda: (threading.Timer(0.001, lock.release).start(), lock.acquire()),
    ):
        beside(block, lambda: None)
        assert asyncio.get_running_loop() is loop
        assert asyncio.current_task() is task
    return len(seen)

thread = spawn(other)
assert aio.run(main()) == 5
assert thread.wait() == "its own"
"""
    )


def test_to_thread_is_native_and_waits_for_nobody(run_patched: Callable[..., str]) -> None:
    run_patched(
        HEAD
        + """
import contextvars
from verdant.core.originals import get_ident
from verdant.patcher import original
native_sleep = original("time", "sleep")
number = contextvars.ContextVar("number")

async def main():
    number.set(5)
    # A call that really blocks, as a C library's: the hub goes on beside it.
    turns = []
    def count():
        while len(turns) < 10:
            turns.append(1)
            sleep(0)
        counted.set()
    counted = threading.Event()
    # Else one thread may be through with two calls before another has begun.
    all_three = threading.Barrier(3)
    def blocks():
        assert counted.wait(20)
        all_three.wait(20)
        native_sleep(0.001)
        time.sleep(0.001)
        return get_ident(), number.get()
    spawn(count)
    results = await asyncio.gather(*[asyncio.to_thread(blocks) for _ in range(3)])
    idents = {ident for ident, _ in results}
    assert len(idents) == 3 and get_ident() not in idents
    assert {value for _, value in results} == {5}
    loop = asyncio.get_running_loop()
    assert await loop.getaddrinfo("localhost", 80)
    try:
        await asyncio.to_thread(divmod, 1, 0)
    except ZeroDivisionError:
        return "done"
assert aio.run(main(), debug=True) == "done"
assert aio.wait(main()) == "done"
"""
    )


def test_an_executor_of_green_threads_serves_too(run_patched: Callable[..., str]) -> None:
    run_patched(
        HEAD
        + """
from concurrent.futures import ThreadPoolExecutor
async def main():
    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(5) as pool:
        barrier = threading.Barrier(5)
        await asyncio.gather(*[loop.run_in_executor(pool, barrier.wait, 20) for _ in range(5)])
aio.run(main())
"""
    )


def test_call_soon_threadsafe_and_signals(run_patched: Callable[..., str]) -> None:
    run_patched(
        HEAD
        + """
import signal
async def main():
    loop = asyncio.get_running_loop()
    done = loop.create_future()
    threading.Thread(target=loop.call_soon_threadsafe, args=(done.set_result, 1)).start()
    assert await done == 1
    came = asyncio.Event()
    loop.add_signal_handler(signal.SIGUSR1, came.set)
    loop.call_later(0.001, os.kill, os.getpid(), signal.SIGUSR1)
    await came.wait()
    loop.remove_signal_handler(signal.SIGUSR1)
    # From green threads whose futures are asyncio's to await.
    future = asyncio.run_coroutine_threadsafe(asyncio.sleep(0, 3), loop)
    assert await asyncio.wrap_future(future) == 3
aio.run(main(), debug=True)
"""
    )


def test_both_ways_with_timeouts(run_patched: Callable[..., str]) -> None:
    run_patched(
        HEAD
        + """
ended = []
async def slow():
    try:
        await asyncio.Event().wait()
    finally:
        ended.append("task")
def straight():
    try:
        time.sleep(1000)
    finally:
        ended.append("thread")
async def main():
    try:
        async with asyncio.timeout(0.01):
            await aio.spawn(straight)
    except TimeoutError:
        return await aio.spawn(aio.wait, asyncio.sleep(0, "back"))
assert aio.run(main(), debug=True) == "back"
try:
    aio.wait(slow(), timeout=0.01)
except TimedOut:
    ended.append("timeout")
assert ended == ["thread", "task", "timeout"]
"""
    )


def test_imported_before_the_patch(run_program: Callable[..., str]) -> None:
    run_program(
        """
import asyncio, time
from verdant import aio, monkey_patch
assert aio.wait(asyncio.sleep(0, 1)) == 1
monkey_patch()
async def main():
    await asyncio.to_thread(time.sleep, 0)
    return await aio.spawn(lambda: time.sleep(0.001) or 2)
assert aio.wait(main()) == 2
assert aio.run(main()) == 2
"""
    )


def test_aiohttp_and_zmq_asyncio(run_patched: Callable[..., str]) -> None:
    run_patched(
        HEAD
        + """
import urllib.request
import aiohttp, zmq, zmq.asyncio
from aiohttp import web

async def hello(request):
    return web.Response(text="hello")

async def main():
    app = web.Application()
    app.router.add_get("/", hello)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    url = "http://127.0.0.1:%d/" % runner.addresses[0][1]
    def straight():
        with urllib.request.urlopen(url) as answer:
            return answer.read()
    assert await asyncio.gather(*[aio.spawn(straight) for _ in range(20)]) == [b"hello"] * 20
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        assert await answer.text() == "hello"
    await runner.cleanup()
    context = zmq.asyncio.Context()
    push, pull = context.socket(zmq.PUSH), context.socket(zmq.PULL)
    port = pull.bind_to_random_port("tcp://127.0.0.1")
    push.connect(f"tcp://127.0.0.1:{port}")
    await push.send(b"x")
    assert await pull.recv() == b"x"
    context.destroy(linger=0)
aio.run(main())
"""
    )
