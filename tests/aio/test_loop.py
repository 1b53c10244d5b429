"""The loop is asyncio's: streams, TLS, children, signals; and its state is seen by itself alone."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import ssl
import sys
import threading
from typing import TYPE_CHECKING, Any, cast

import pytest
import trustme
from greenlet import getcurrent, greenlet

import verdant
from verdant import Event, aio, sleep, spawn
from verdant.aio.loop import Loop, LoopThread
from verdant.core import current_hub
from verdant.green import socket as green_socket

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine
    from concurrent.futures import ThreadPoolExecutor
    from pathlib import Path


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while line := await reader.readline():
        writer.write(line.upper())
        await writer.drain()
    writer.close()
    await writer.wait_closed()


async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    writer.write(b"hello\n")
    answer = await reader.readline()
    writer.close()
    await writer.wait_closed()
    return answer


def running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def running() -> object:
    return None if running_loop() is None else (running_loop(), asyncio.current_task())


# The world that others see.


@pytest.mark.parametrize(
    "parks",
    [
        pytest.param(lambda: verdant.sleep(0), id="sleep"),
        pytest.param(lambda: verdant.sleep(0.001), id="timer"),
        pytest.param(lambda: spawn(verdant.sleep).join(), id="join"),
    ],
)
def test_a_coroutine_that_parks_keeps_its_loop_to_itself(parks: Callable[[], object]) -> None:
    seen: list[object] = []

    def other() -> None:
        seen.append(running())
        seen.append(aio.wait(asyncio.sleep(0, "served by another loop")))
        seen.append(running())

    async def main() -> None:
        before = running()
        outsider.set()
        parks()
        assert running() == before
        await asyncio.sleep(0)
        assert running() == before

    outsider = Event()

    def wait_outside() -> None:
        outsider.wait()
        other()

    thread = spawn(wait_outside)
    aio.run(main())
    thread.wait()
    assert seen == [None, "served by another loop", None]


def test_while_the_loop_waits_no_loop_runs_here() -> None:
    async def wait_for(event: asyncio.Event) -> object:
        await event.wait()
        return running()

    async def make() -> asyncio.Event:
        return asyncio.Event()

    async def put(event: asyncio.Event) -> None:
        event.set()

    event = aio.wait(make())
    waiting = spawn(aio.wait, wait_for(event))
    for _ in range(5):
        sleep(0)
        assert running() is None
    aio.wait(put(event))
    assert waiting.wait() is not None


def test_two_loops_in_one_native_thread_keep_tasks_and_generators_apart() -> None:
    async def numbers() -> AsyncIterator[int]:
        try:
            for number in range(1000):
                yield number
        finally:
            closed.append(asyncio.get_running_loop())

    async def program() -> asyncio.AbstractEventLoop:
        loop = asyncio.get_running_loop()
        task = asyncio.current_task()
        left = numbers()
        async for number in left:
            verdant.sleep(0)
            await asyncio.sleep(0)
            assert asyncio.get_running_loop() is loop
            assert asyncio.current_task() is task
            if number == 10:
                break
        # Not closed here: the loop's hooks know of it and close it at the end.
        return loop

    closed: list[asyncio.AbstractEventLoop] = []
    threads = [spawn(aio.run, program()) for _ in range(3)]
    loops = [thread.wait() for thread in threads]
    assert len({id(loop) for loop in loops}) == 3
    assert sorted(map(id, closed)) == sorted(map(id, loops))
    assert sys.get_asyncgen_hooks() == (None, None)


def test_greenlets_within_a_task_stay_on_its_side() -> None:
    """As SQLAlchemy does: straight-line code that awaits through a greenlet of its own."""

    async def greenlet_spawn(fn: Callable[[Callable[[Any], Any]], object]) -> object:
        inner = greenlet(fn, getcurrent())
        result = inner.switch(lambda awaitable: inner.parent.switch(awaitable))  # type: ignore[union-attr]
        while not inner.dead:
            result = inner.switch(await result)
        return result

    def straight(await_only: Callable[[Any], Any]) -> object:
        before = running()
        await_only(asyncio.sleep(0.001))
        assert running() == before
        return before

    async def main() -> None:
        assert await greenlet_spawn(straight) == running()

    aio.run(main())


def test_a_stdlib_loop_that_parks_gets_its_state_back() -> None:
    async def main() -> object:
        # The stdlib's loop stands still here, as for any blocking call, and ours has its turns.
        before = running()
        waiting.join()
        assert running() == before
        return before

    waiting = spawn(aio.wait, asyncio.sleep(0.001, 5))
    sleep(0)
    assert asyncio.run(main()) is not None
    assert waiting.wait() == 5


# Waiting.


def test_an_idle_loop_takes_no_turns() -> None:
    async def turns() -> list[int]:
        counted: list[int] = []
        loop: Any = asyncio.get_running_loop()
        run_once = loop._run_once

        def count() -> None:
            counted.append(1)
            run_once()

        loop._run_once = count
        return counted

    counted = aio.wait(turns())
    sleep(0)
    before = len(counted)
    for _ in range(3):
        sleep(0.01)
    assert len(counted) == before
    aio.wait(asyncio.sleep(0))
    assert len(counted) > before


def test_a_busy_loop_lets_others_run() -> None:
    async def busy(event: Event) -> int:
        turns = 0
        while not event.is_set():
            turns += 1
            await asyncio.sleep(0)
        return turns

    event = Event()
    waiting = spawn(aio.wait, busy(event))
    # Each of these needs turns of the hub, and of its poller.
    here, there = green_socket.socketpair()
    for _ in range(20):
        there.send(b"x")
        assert here.recv(1) == b"x"
        sleep(0.001)
    event.set()
    assert waiting.wait() > 0
    here.close()
    there.close()


def test_a_reader_that_never_drains_lets_others_run() -> None:
    async def watch(event: Event, sock: socket.socket) -> int:
        loop = asyncio.get_running_loop()
        calls: list[int] = []
        done = loop.create_future()

        def ready() -> None:
            # Level-triggered: the byte is never taken, so this is called on each turn.
            calls.append(1)
            if event.is_set() and not done.done():
                done.set_result(None)

        loop.add_reader(sock, ready)
        await done
        assert loop.remove_reader(sock)
        return len(calls)

    event = Event()
    here, there = socket.socketpair()
    there.send(b"x")
    waiting = spawn(aio.wait, watch(event, here))
    for _ in range(20):
        sleep(0)
    event.set()
    assert waiting.wait() > 1
    here.close()
    there.close()


def test_add_reader_and_writer_on_what_green_code_waits_for_too() -> None:
    here, there = green_socket.socketpair()
    taken: list[bytes] = []
    # It leaves some, so that the loop has something to see whoever comes first.
    reading = spawn(lambda: taken.append(here.recv(4)))
    sleep(0)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        readable, writable = asyncio.Event(), asyncio.Event()
        loop.add_reader(here.fileno(), readable.set)
        loop.add_writer(here.fileno(), writable.set)
        await writable.wait()
        there.send(b"both of them")
        await readable.wait()
        loop.remove_reader(here.fileno())
        loop.remove_writer(here.fileno())

    aio.wait(main())
    assert reading.join(20)
    assert taken == [b"both"]
    here.close()
    there.close()


def test_call_later_fires_in_order_beside_green_timers() -> None:
    order: list[int] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        done = loop.create_future()
        for n in (3, 1, 2):
            loop.call_at(now + n / 1000, order.append, n)
        loop.call_at(now + 0.004, done.set_result, None)
        await done

    aio.wait(main())
    assert order == [1, 2, 3]


def test_call_soon_threadsafe_wakes_a_parked_loop() -> None:
    async def main() -> str:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[str] = loop.create_future()
        threading.Thread(
            target=loop.call_soon_threadsafe, args=(future.set_result, "from a native thread")
        ).start()
        first = await future
        green: asyncio.Future[str] = loop.create_future()
        spawn(loop.call_soon_threadsafe, green.set_result, " and a green one")
        return first + await green

    assert aio.wait(main()) == "from a native thread and a green one"


def test_the_running_loop_is_right_whoever_woke_it() -> None:
    async def main() -> list[object]:
        loop = asyncio.get_running_loop()
        seen: list[object] = []

        async def woken(by: Callable[[Callable[[], None]], object]) -> None:
            future = loop.create_future()

            def look() -> None:
                seen.append(running_loop())
                future.set_result(None)

            by(look)
            await future
            seen.append(asyncio.get_running_loop())

        def by_another_thread(look: Callable[[], None]) -> None:
            # After everybody has parked, so that the kernel's event is what wakes the loop.
            threading.Timer(0.01, loop.call_soon_threadsafe, (look,)).start()

        await woken(by_another_thread)
        await woken(lambda look: loop.call_later(0.01, look))
        await woken(lambda look: spawn(loop.call_soon_threadsafe, look))
        # And a green socket that a coroutine reads, as a careless library would.
        here, there = green_socket.socketpair()
        threading.Timer(0.01, os.write, (there.fileno(), b"x")).start()
        here.recv(1)
        seen.append(running_loop())
        here.close()
        there.close()
        return [found is loop for found in seen]

    assert aio.run(main()) == [True] * 7


def test_run_coroutine_threadsafe_from_a_native_thread() -> None:
    async def here() -> asyncio.AbstractEventLoop:
        return asyncio.get_running_loop()

    loop = aio.wait(here())
    asked: list[int] = []

    def ask_from_outside() -> None:
        asked.append(asyncio.run_coroutine_threadsafe(asyncio.sleep(0, 7), loop).result(timeout=20))

    thread = threading.Thread(target=ask_from_outside)
    thread.start()
    verdant.run_in_worker(thread.join)
    assert asked == [7]


def test_debug_mode_accepts_the_border() -> None:
    async def main() -> int:
        assert asyncio.get_running_loop().get_debug()
        return await aio.spawn(lambda: aio.wait(asyncio.sleep(0, 3)))

    assert aio.run(main(), debug=True) == 3


def test_a_loop_per_native_thread(other_thread: ThreadPoolExecutor) -> None:
    async def here() -> tuple[int, asyncio.AbstractEventLoop]:
        return threading.get_ident(), asyncio.get_running_loop()

    def in_a_native_thread() -> None:
        found.append(aio.wait(here()))
        assert aio.stop(20)

    found = [aio.wait(here())]
    other_thread.submit(in_a_native_thread).result(20)
    (ident, loop), (other_ident, other_loop) = found
    assert ident != other_ident
    assert loop is not other_loop


# Signals.


def test_signal_handlers_run_in_the_loop_and_leave_the_hubs_wake_up_alone() -> None:
    current_hub()
    before = signal.set_wakeup_fd(-1)
    signal.set_wakeup_fd(before, warn_on_full_buffer=False)

    async def main() -> object:
        loop = asyncio.get_running_loop()
        came: asyncio.Future[object] = loop.create_future()
        loop.add_signal_handler(signal.SIGUSR1, lambda: came.set_result(running()))
        # While everybody is parked.
        loop.call_later(0.001, os.kill, os.getpid(), signal.SIGUSR1)
        seen = await came
        assert loop.remove_signal_handler(signal.SIGUSR1)
        assert not loop.remove_signal_handler(signal.SIGUSR1)
        return seen

    assert aio.wait(main()) is not None
    assert signal.set_wakeup_fd(before, warn_on_full_buffer=False) == before
    assert signal.getsignal(signal.SIGUSR1) is signal.SIG_DFL
    # The hub still hears of a plain handler's work while it polls.
    event = Event()
    previous = signal.signal(signal.SIGUSR1, lambda *_: event.set())
    killer = threading.Timer(0.01, os.kill, (os.getpid(), signal.SIGUSR1))
    killer.start()
    assert event.wait(20)
    killer.join()
    signal.signal(signal.SIGUSR1, previous)


def test_closing_the_loop_gives_its_signals_back() -> None:
    before = signal.set_wakeup_fd(-1)
    signal.set_wakeup_fd(before, warn_on_full_buffer=False)

    async def main() -> None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, lambda: None)

    aio.run(main())
    assert signal.getsignal(signal.SIGUSR1) is signal.SIG_DFL
    assert signal.set_wakeup_fd(before, warn_on_full_buffer=False) == before


def test_signal_handlers_outside_the_main_thread_are_refused_as_in_asyncio(
    other_thread: ThreadPoolExecutor,
) -> None:
    async def main() -> None:
        with pytest.raises(RuntimeError, match="main thread"):
            asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, lambda: None)

    other_thread.submit(aio.run, main()).result(20)


# Streams, TLS, datagrams, children, threads.


def test_streams_over_tcp_with_green_and_asyncio_clients() -> None:
    async def serve() -> asyncio.Server:
        return await asyncio.start_server(echo, "127.0.0.1", 0)

    async def close() -> None:
        server.close()
        await server.wait_closed()

    def green_client() -> bytes:
        with green_socket.create_connection(address) as sock:
            sock.sendall(b"hello\n")
            return sock.makefile("rb").readline()

    async def asyncio_client() -> bytes:
        return await ask(*await asyncio.open_connection(*address))

    server = aio.wait(serve())
    address = server.sockets[0].getsockname()
    threads = [spawn(green_client) for _ in range(10)]
    threads += [spawn(aio.wait, asyncio_client()) for _ in range(10)]
    assert [thread.wait() for thread in threads] == [b"HELLO\n"] * 20
    aio.wait(close())


def test_streams_over_a_unix_socket(tmp_path: Path) -> None:
    path = tmp_path / "s"

    async def main() -> bytes:
        async with await asyncio.start_unix_server(echo, path):
            return await ask(*await asyncio.open_unix_connection(path))

    assert aio.run(main()) == b"HELLO\n"


def test_streams_over_tls_and_start_tls() -> None:
    authority = trustme.CA()
    here, there = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.issue_cert("localhost").configure_cert(here)
    authority.configure_trust(there)

    async def upgrade(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(b"go\n")
        await writer.drain()
        await writer.start_tls(here)
        await echo(reader, writer)

    async def main() -> list[bytes]:
        answers = []
        async with await asyncio.start_server(echo, "127.0.0.1", 0, ssl=here) as server:
            port = server.sockets[0].getsockname()[1]
            streams = await asyncio.open_connection(
                "127.0.0.1", port, ssl=there, server_hostname="localhost"
            )
            answers.append(await ask(*streams))
        async with await asyncio.start_server(upgrade, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"starttls\n")
            assert await reader.readline() == b"go\n"
            await writer.start_tls(there, server_hostname="localhost")
            answers.append(await ask(reader, writer))
        return answers

    assert aio.run(main()) == [b"HELLO\n"] * 2


def test_datagrams_and_socket_calls() -> None:
    class Echo(asyncio.DatagramProtocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self.transport = cast("asyncio.DatagramTransport", transport)

        def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
            self.transport.sendto(data[::-1], addr)

    async def main() -> tuple[bytes, bytes]:
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(Echo, local_addr=("127.0.0.1", 0))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.setblocking(False)
            await loop.sock_connect(sock, transport.get_extra_info("sockname"))
            await loop.sock_sendall(sock, b"abc")
            datagram = await loop.sock_recv(sock, 10)
        transport.close()
        here, there = socket.socketpair()
        with here, there:
            here.setblocking(False)
            there.setblocking(False)
            size = 1 << 20
            sending = asyncio.create_task(loop.sock_sendall(here, b"x" * size))
            received = b""
            while len(received) < size:
                received += await loop.sock_recv(there, 1 << 16)
            await sending
        return datagram, received[:1]

    assert aio.run(main()) == (b"cba", b"x")


def test_children_with_pipes_and_exit_codes() -> None:
    async def main() -> tuple[bytes, int | None, int]:
        child = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            "import sys; sys.stdout.write(sys.stdin.read().upper()); sys.exit(3)",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        out, _ = await child.communicate(b"x" * 200_000)
        shell = await asyncio.create_subprocess_shell("kill -9 $$")
        return out, child.returncode, await shell.wait()

    assert aio.wait(main()) == (b"X" * 200_000, 3, -signal.SIGKILL)


def test_a_child_that_outlives_its_timeout() -> None:
    async def main() -> int:
        child = await asyncio.create_subprocess_exec("sleep", "1000")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(child.wait(), 0.01)
        child.terminate()
        return await child.wait()

    assert aio.wait(main()) == -signal.SIGTERM


def test_to_thread_and_executors_run_in_native_threads_with_context() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        barrier = threading.Barrier(3)

        def meet() -> int:
            barrier.wait(20)
            return threading.get_ident()

        idents = await asyncio.gather(
            asyncio.to_thread(meet), asyncio.to_thread(meet), loop.run_in_executor(None, meet)
        )
        assert len({*idents, threading.get_ident()}) == 4
        with pytest.raises(ZeroDivisionError):
            await asyncio.to_thread(divmod, 1, 0)
        assert await loop.getaddrinfo("localhost", 1)

    aio.run(main())


def test_pipes() -> None:
    async def main() -> bytes:
        loop = asyncio.get_running_loop()
        read_fd, write_fd = os.pipe()
        reader = asyncio.StreamReader()
        source, _ = await loop.connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(read_fd, "rb", 0)
        )
        sink, _ = await loop.connect_write_pipe(asyncio.BaseProtocol, os.fdopen(write_fd, "wb", 0))
        assert isinstance(sink, asyncio.WriteTransport)
        sink.write(b"x" * 300_000)
        sink.close()
        received = await reader.read()
        source.close()
        return received

    assert aio.run(main()) == b"x" * 300_000


def test_a_new_loop_is_the_stdlibs_class_and_needs_no_loop_thread() -> None:
    def drive(main: Coroutine[Any, Any, int]) -> int:
        loop = Loop()
        try:
            return loop.run_until_complete(main)
        finally:
            loop.close()

    assert drive(asyncio.sleep(0.001, 8)) == 8
    assert issubclass(Loop, asyncio.SelectorEventLoop)
    assert issubclass(LoopThread, verdant.GreenThread)
