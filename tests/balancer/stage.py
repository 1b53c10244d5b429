"""A balancer in this process, backends by script, and clients that say what they like.

Everything is a green thread on real sockets of loopback, so that a test can look at both ends of
an exchange without sleeping: what it waits for is an Event or the end of a stream.
"""

from __future__ import annotations

import json
import socket as native
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from verdant import Event, GreenThread, Timeout, sleep, spawn
from verdant.balancer import AccessRecord, BalancerConfig, BalancerService
from verdant.http import request
from verdant.net import Stream, bound_address, connect, listen

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

# A bound on what must happen; nobody measures it.
PATIENCE_S = 30.0

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"


class Peer:
    """One connection, with the reading that scripts need."""

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self.rest = b""

    def say(self, data: bytes) -> None:
        self.stream.sendall(data)

    def until(self, mark: bytes) -> bytes:
        """Everything up to and including `mark`; b"" when the other side ended before."""
        while mark not in self.rest:
            data = self.stream.recv(65_536)
            if not data:
                return b""
            self.rest += data
        found, self.rest = self.rest.split(mark, 1)
        return found + mark

    def head(self) -> bytes:
        return self.until(b"\r\n\r\n")

    def take(self, count: int) -> bytes:
        while len(self.rest) < count:
            data = self.stream.recv(65_536)
            assert data, f"the end came {count - len(self.rest)} bytes early"
            self.rest += data
        found, self.rest = self.rest[:count], self.rest[count:]
        return found

    def skip(self, count: int) -> None:
        """Receive `count` bytes and look at none of them."""
        count -= len(self.rest)
        self.rest = b""
        while count > 0:
            data = self.stream.recv(min(count, 1 << 20))
            assert data, f"the end came {count} bytes early"
            count -= len(data)

    def everything(self) -> bytes:
        while data := self.stream.recv(65_536):
            self.rest += data
        found, self.rest = self.rest, b""
        return found

    def answer(self, *, bodiless: bool = False) -> tuple[int, bytes, bytes]:
        """An answer framed by its length or by chunks: its status, head and body."""
        head = self.head()
        assert head, "no answer came"
        status = int(head[9:12])
        lowered = head.lower()
        if bodiless or status < 200 or status in (204, 304):
            return status, head, b""
        if b"transfer-encoding: chunked" in lowered:
            body = b""
            while size := int(self.until(b"\r\n"), 16):
                body += self.take(size)
                self.take(2)
            trailers = b""
            while (line := self.until(b"\r\n")) != b"\r\n":
                trailers += line
            return status, head + trailers, body
        length = int(lowered.split(b"content-length: ")[1].split(b"\r\n")[0])
        return status, head, self.take(length)


class Backend:
    """A server whose connections are each handled by `script(peer)`. `heads`: what it was asked."""

    def __init__(self, script: Callable[[Peer], object] | None = None) -> None:
        self.script = script or self.serve_hello
        self.heads: list[bytes] = []
        self.connections = 0
        self._listener = listen("127.0.0.1:0")
        address: Any = bound_address(self._listener)
        self.port: int = address.port
        self._open: list[Stream] = []
        self._grave: native.socket | None = None
        self._accepting: GreenThread[None] | None = spawn(self._accept)

    @property
    def pair(self) -> list[object]:
        return ["127.0.0.1", self.port]

    def serve_hello(self, peer: Peer) -> None:
        while head := peer.head():
            self.heads.append(head)
            peer.say(OK)

    def _accept(self) -> None:
        while True:
            sock, peer = self._listener.accept()
            self.connections += 1
            stream = Stream(sock, peer)
            self._open.append(stream)
            spawn(self._serve, stream)

    def _serve(self, stream: Stream) -> None:
        with suppress(OSError):
            self.script(Peer(stream))
        stream.close()

    def kill(self) -> None:
        """As a killed process: nobody listens, and every connection is reset."""
        if self._accepting is not None:
            self._accepting.cancel()
            self._accepting.join()
            self._accepting = None
            self._listener.close()
            # Bound and not listened on: nobody else gets the port while we say that it is dead.
            self._grave = native.socket()
            self._grave.setsockopt(native.SOL_SOCKET, native.SO_REUSEADDR, 1)
            self._grave.bind(("127.0.0.1", self.port))
        for stream in self._open:
            stream.abort()
            stream.break_off()
        self._open.clear()

    def close(self) -> None:
        """Give everything back, the port included."""
        self.kill()
        if self._grave is not None:
            self._grave.close()


class Stage:
    """A running balancer. `records`: its access log."""

    def __init__(self, directory: Path, **config: Any) -> None:
        self.records: list[AccessRecord] = []
        self.service = BalancerService(
            BalancerConfig(
                bind=["127.0.0.1:0"],
                bind_internal=["127.0.0.2:0"],
                management="127.0.0.1:0",
                state_dir=str(directory / "state"),
                **config,
            ),
            self.records.append,
        )
        self.service.start()
        self._backends: list[Backend] = []
        self._clients: list[Stream] = []

    def backend(self, script: Callable[[Peer], object] | None = None) -> Backend:
        backend = Backend(script)
        self._backends.append(backend)
        return backend

    def rule(self, *backends: Backend | object, host: str = "a.test", **arguments: object) -> None:
        pairs = [b.pair if isinstance(b, Backend) else b for b in backends]
        status, answer = self.manage(
            "PUT", f"/hostname/{host}/", ["proxy", {"backends": pairs, **arguments}, False]
        )
        assert (status, answer) == (200, {"ok": True})

    def manage(self, method: str, path: str, document: object = None) -> tuple[int, Any]:
        body = json.dumps(document).encode()
        found = request(method, self.service.management_address, path, body=body)
        return found.status, json.loads(found.read())

    def client(self, *, internal: bool = False) -> Peer:
        service = self.service
        where = service.internal_addresses if internal else service.addresses
        stream = connect(where[0])
        self._clients.append(stream)
        return Peer(stream)

    def get(
        self, fields: bytes = b"", *, path: bytes = b"/", method: bytes = b"GET",
        host: bytes = b"a.test", internal: bool = False,
    ) -> tuple[int, bytes, bytes]:  # fmt: skip
        client = self.client(internal=internal)
        client.say(b"%b %b HTTP/1.1\r\nHost: %b\r\n%b\r\n" % (method, path, host, fields))
        found = client.answer(bodiless=method == b"HEAD")
        client.stream.close()
        return found

    def states(self, host: str = "a.test") -> list[dict[str, Any]]:
        status, found = self.manage("GET", f"/hostname/{host}/backends/")
        assert status == 200, found
        states: list[dict[str, Any]] = found
        return states

    def close(self) -> None:
        for stream in self._clients:
            stream.close()
        for backend in self._backends:
            backend.close()
        self.service.stop()


@contextmanager
def staged(directory: Path, **config: Any) -> Iterator[Stage]:
    stage = Stage(directory, **{"drain_timeout_s": 0.05, **config})
    try:
        with Timeout(PATIENCE_S):
            yield stage
    finally:
        stage.close()


def eventually(claim: Callable[[], object]) -> None:
    """Let others run until `claim()` is true; the stage's own bound ends it when it never is."""
    while not claim():
        sleep(0.005)


# What tests of several backends share.


def counts(*backends: Backend) -> list[int]:
    return [len(backend.heads) for backend in backends]


def crew(stage: Stage, count: int) -> list[Backend]:
    return [stage.backend() for _ in range(count)]


def weighted(backend: Backend, weight: int, **more: int) -> object:
    return {"address": f"127.0.0.1:{backend.port}", "weight": weight, **more}


def dead(stage: Stage) -> Backend:
    backend = stage.backend()
    backend.kill()
    return backend


def drop(peer: Peer) -> None:
    """Takes a request and ends without a word."""
    peer.head()
    peer.stream.break_off()


class Held:
    """A backend that answers when it is let, and the number that it has under way."""

    def __init__(self, stage: Stage) -> None:
        self.go = Event()
        self.now = self.most = 0
        self.backend = stage.backend(self.script)

    def script(self, peer: Peer) -> None:
        while peer.head():
            self.now += 1
            self.most = max(self.most, self.now)
            self.go.wait()
            self.now -= 1
            peer.say(OK)


def waiting(stage: Stage) -> int:
    fleet = stage.service.fleets._fleets.get(b"a.test")
    return 0 if fleet is None else fleet.load.waiting


def ask_all(stage: Stage, count: int) -> list[Any]:
    return [spawn(stage.get) for _ in range(count)]


def hang(peer: Peer) -> None:
    peer.head()
    peer.everything()
