"""The corpus through a real balancer: what a backend sees, whole and byte by byte.

Some clients at once, each with a host and a backend of its own, one case after the other. The
backend is a plain socket server that records what h11 makes of every byte, and keeps its
connections: what one case leaves behind would be found in the next.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import subprocess
from dataclasses import dataclass, field
from http.client import HTTPConnection
from typing import TYPE_CHECKING

import h11
from flows.stack import PATIENCE_S, VERDANT, eventually, free_port
from http_corpus import AFTER, CASES, Case
from http_memory import statuses

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CLIENTS = 32
# Beyond this, bytes come by hundreds: the bounds are what such cases are about.
SINGLE_BYTES_MAX = 4096

Seen = tuple[bytes, bytes, list[tuple[bytes, bytes]], bytes]


@dataclass
class Balancer:
    public: int
    management: int
    process: subprocess.Popen[bytes]

    def is_ready(self) -> bool:
        try:
            return self.manage("GET", "/health/") == 200
        except OSError:
            return False

    def manage(self, method: str, path: str, document: object = None) -> int:
        connection = HTTPConnection("127.0.0.1", self.management, timeout=PATIENCE_S)
        try:
            connection.request(method, path, json.dumps(document))
            return connection.getresponse().status
        finally:
            connection.close()


@contextlib.contextmanager
def balancer(directory: Path, settings: str = "") -> Iterator[Balancer]:
    public, management = free_port(), free_port()
    path = directory / "verdant.toml"
    path.write_text(
        f'[balancer]\nbind = ["127.0.0.1:{public}"]\nmanagement = "127.0.0.1:{management}"\n'
        f'state_dir = "{directory}/state"\n{settings}'
    )
    with (directory / "screen.txt").open("wb") as screen:
        process = subprocess.Popen(
            [VERDANT, "balancer", "-c", str(path)], stdout=screen, stderr=subprocess.STDOUT
        )
    try:
        made = Balancer(public, management, process)
        eventually(made.is_ready)
        yield made
    finally:
        process.terminate()
        try:
            process.wait(PATIENCE_S)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()


@dataclass
class Recorder:
    """A backend that answers each whole request with its method and target."""

    seen: list[Seen] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    connections: set[asyncio.Task[None]] = field(default_factory=set)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.connections.add(task)
        try:
            await self._serve(reader, writer)
        except (OSError, h11.RemoteProtocolError) as exc:
            if not reader.at_eof() and isinstance(exc, h11.RemoteProtocolError):
                # Bytes that are no request, and not only the beginning of one.
                self.faults.append(str(exc))
        finally:
            writer.close()
            self.connections.discard(task)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = h11.Connection(h11.SERVER, max_incomplete_event_size=100_000)
        method, target, fields, body = b"", b"", [(b"", b"")], b""
        while True:
            event = connection.next_event()
            if event is h11.NEED_DATA:
                data = await reader.read(65_536)
                connection.receive_data(data)
            elif isinstance(event, h11.Request):
                method, target, body = bytes(event.method), bytes(event.target), b""
                fields = [
                    (bytes(name).lower(), bytes(value))
                    for name, value in event.headers
                    # A backend hears of it when it may still say 100 itself.
                    if bytes(name).lower() != b"expect"
                ]
            elif isinstance(event, h11.Data):
                body += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                fields += [
                    (b"trailer " + bytes(name).lower(), bytes(value))
                    for name, value in event.headers
                ]
                self.seen.append((method, target, fields, body))
                text = method + b" " + target
                length = ("Content-Length", str(len(text)))
                answer = connection.send(h11.Response(status_code=200, headers=[length]))
                assert answer is not None
                if method != b"HEAD":
                    answer += connection.send(h11.Data(data=text)) or b""
                writer.write(answer + (connection.send(h11.EndOfMessage()) or b""))
                connection.start_next_cycle()
            else:
                return


async def tell(port: int, data: bytes, *, by_byte: bool, eof: bool) -> bytes:
    """Send `data`, and return all that the balancer says until it closes."""
    loop = asyncio.get_running_loop()
    # Not asyncio's streams: they forget what was received when sending fails.
    with socket.socket() as client:
        client.setblocking(False)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        async with asyncio.timeout(PATIENCE_S):
            await loop.sock_connect(client, ("127.0.0.1", port))
            listening = asyncio.ensure_future(hear(client))
            step = len(data)
            if by_byte:
                step = 1 if len(data) <= SINGLE_BYTES_MAX else 100
            # It may have heard enough.
            with contextlib.suppress(ConnectionError):
                for at in range(0, len(data), step):
                    await loop.sock_sendall(client, data[at : at + step])
                    # So that the balancer may look in between.
                    await asyncio.sleep(0)
                if eof:
                    client.shutdown(socket.SHUT_WR)
            return await listening


async def hear(client: socket.socket) -> bytes:
    said = b""
    with contextlib.suppress(ConnectionError):
        while data := await asyncio.get_running_loop().sock_recv(client, 65_536):
            said += data
    return said


def faults_of(case: Case, said: bytes, recorder: Recorder, host: bytes) -> Iterator[str]:
    """What is wrong with what became of `case`."""
    yield from recorder.faults
    targets = [target for _, target, _, _ in recorder.seen]
    if len(targets) != case.seen + (not case.ends):
        yield f"the backend saw {targets}"
    if case.ends == (b"/after" in targets):
        yield f"what came behind it was {'' if case.ends else 'not '}asked for"
    try:
        found = statuses(said, [method for method, _, _, _ in recorder.seen])
    except AssertionError:
        yield f"the client was told {said!r}"
        return
    expected = [*case.answers] if case.ends else [*case.answers, 200]
    # A client that has left may be told anything, once.
    fits = len(found) <= 1 if case.eof else found == expected
    if not fits:
        yield f"the client was told {found}, not {expected}"
    if not case.ends and not said.endswith(b"GET /after"):
        yield "the last answer is not its own"
    names = {name for _, _, fields, _ in recorder.seen for name, _ in fields}
    if names.intersection(case.absent):
        yield f"the backend saw {names.intersection(case.absent)}"
    body = case.body
    if body is not None and [body.replace(b"case.test", host)] != [
        found for _, _, _, found in recorder.seen[:1]
    ]:
        yield f"the backend saw another body: {recorder.seen!r}"


async def one_client(
    host: str, port: int, recorder: Recorder, cases: list[Case], wrong: list[str]
) -> None:
    for case in cases:
        data = case.data if case.eof else case.data + AFTER
        data = data.replace(b"case.test", host.encode())
        data = data.replace(b"CASE.TEST", host.upper().encode())
        twice = []
        for by_byte in (False, True):
            way = "byte by byte" if by_byte else "in one piece"
            try:
                said = await tell(port, data, by_byte=by_byte, eof=case.eof)
            except TimeoutError:
                wrong.append(f"{case.name}, {way}: the balancer neither answers nor closes")
                return
            faults = faults_of(case, said, recorder, host.encode())
            wrong += [f"{case.name}, {way}: {fault}" for fault in faults]
            twice.append(recorder.seen)
            recorder.seen, recorder.faults = [], []
        if twice[0] != twice[1]:
            wrong.append(f"{case.name}: the backend saw {twice[0]}, then {twice[1]}")


async def all_clients(stack: Balancer) -> list[str]:
    rules = {}
    recorders = []
    async with contextlib.AsyncExitStack() as servers:
        for number in range(CLIENTS):
            # As long as case.test: lengths in the corpus count.
            host = f"c{number:03}.test"
            recorder = Recorder()
            server = await asyncio.start_server(recorder.serve, "127.0.0.1", 0)
            await servers.enter_async_context(server)
            backend = server.sockets[0].getsockname()[:2]
            rules[host] = ["proxy", {"backends": [backend]}, False]
            recorders.append((host, recorder))
        assert await asyncio.to_thread(stack.manage, "PUT", "/hostname/", rules) == 200
        wrong: list[str] = []
        await asyncio.gather(
            *(
                one_client(host, stack.public, recorder, CASES[number::CLIENTS], wrong)
                for number, (host, recorder) in enumerate(recorders)
            )
        )
        for number, (_, recorder) in enumerate(recorders):
            if recorder.seen or recorder.faults:
                wrong.append(f"client {number}: more came later: {recorder}")
        # The servers' end waits for their connections, which the balancer keeps.
        stack.process.terminate()
        for _, recorder in recorders:
            await asyncio.gather(*recorder.connections, return_exceptions=True)
    return wrong


def test_a_backend_sees_what_is_a_request_and_nothing_else(tmp_path: Path) -> None:
    with balancer(tmp_path) as stack:
        wrong = asyncio.run(all_clients(stack))
    assert "Traceback" not in (tmp_path / "screen.txt").read_text()
    assert not wrong, "\n".join(wrong)
