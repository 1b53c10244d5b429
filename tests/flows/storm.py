"""Storm: clients of a balancer that ask all the time, and programs that change its rules.

storm.py PUBLIC MANAGEMENT [CHANGES]. Without CHANGES the clients ask for host `load.test` until
standard input ends. With it, rules of `HOSTS` hosts are changed so many times in all, each to a
redirect that tells its version, by as many programs as there are hosts, and clients check on each
answer that it is not older than the last version whose change was answered with 200 before they
asked. Every answer counts; so does everything that is none.
"""

from __future__ import annotations

import json
import sys
import time

from verdant import spawn
from verdant.core import sleep, watch_fd
from verdant.net import connect

PUBLIC, MANAGEMENT = int(sys.argv[1]), int(sys.argv[2])
CHANGES = int(sys.argv[3]) if len(sys.argv) > 3 else 0
CLIENTS = 32
HOSTS = 50


class Client:
    """Asks on one connection, and makes a new one when it is told to."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._stream = connect(("127.0.0.1", port))
        self._buffer = b""

    def ask(self, request: bytes) -> tuple[bytes, bytes]:
        """Head and body of the answer. Raises OSError, EOFError when it is not whole."""
        self._stream.sendall(request)
        head = self._until(b"\r\n\r\n")
        lower = head.lower()
        length = 0
        if b"\r\ncontent-length: " in lower:
            length = int(lower.partition(b"\r\ncontent-length: ")[2].partition(b"\r\n")[0])
        while len(self._buffer) < length:
            self._more()
        body, self._buffer = self._buffer[:length], self._buffer[length:]
        if b"\r\nconnection: close" in lower:
            self._stream.close()
            self._stream = connect(("127.0.0.1", self._port))
            self._buffer = b""
        return head, body

    def _until(self, end: bytes) -> bytes:
        while end not in self._buffer:
            self._more()
        found, _, self._buffer = self._buffer.partition(end)
        return found + end

    def _more(self) -> None:
        data = self._stream.recv(65536)
        if not data:
            raise EOFError(f"the connection ended after {self._buffer!r}")
        self._buffer += data

    def again(self) -> None:
        """After a failure."""
        self._stream.close()
        self._stream = connect(("127.0.0.1", self._port))
        self._buffer = b""


class Tally:
    def __init__(self) -> None:
        self.answers = self.older = 0
        self.failures: list[str] = []
        self.ended = False
        # Of each host: the last version that was answered with 200.
        self.confirmed = [0] * HOSTS
        self.changed = 0


def visit(tally: Tally, number: int) -> None:
    client = Client(PUBLIC)
    turn = number
    while not tally.ended:
        turn += 1
        host = turn % HOSTS
        name = f"h{host}.test" if CHANGES else "load.test"
        known = tally.confirmed[host]
        try:
            head, _ = client.ask(b"GET / HTTP/1.1\r\nHost: %b\r\n\r\n" % name.encode())
        except (OSError, EOFError) as exc:
            tally.failures.append(repr(exc))
            client.again()
            continue
        tally.answers += 1
        if CHANGES:
            version = int(head.partition(b"http://v")[2].partition(b".")[0])
            tally.older += version < known
        elif b" 200 " not in head[:16]:
            tally.failures.append(repr(head))


def change(tally: Tally, host: int, count: int) -> None:
    client = Client(MANAGEMENT)
    for _ in range(count):
        version = tally.confirmed[host] + 1
        put(client, host, version)
        tally.confirmed[host] = version
        tally.changed += 1


def put(client: Client, host: int, version: int) -> None:
    rule = json.dumps(["redirect", {"redirect_to": f"http://v{version}.test"}, False]).encode()
    head, body = client.ask(
        b"PUT /hostname/h%d.test/ HTTP/1.1\r\nHost: m\r\nContent-Length: %d\r\n\r\n%b"
        % (host, len(rule), rule)
    )
    assert b" 200 " in head[:16], (head, body)


def main() -> None:
    tally = Tally()
    if CHANGES:
        client = Client(MANAGEMENT)
        for host in range(HOSTS):
            put(client, host, 0)
    clients = [spawn(visit, tally, number) for number in range(CLIENTS)]
    while tally.answers < CLIENTS:
        sleep(0.01)
    sys.stdout.write("going\n")
    sys.stdout.flush()
    began = time.monotonic()
    if CHANGES:
        changers = [spawn(change, tally, host, CHANGES // HOSTS) for host in range(HOSTS)]
        for thread in changers:
            thread.wait()
    else:
        watch_fd(0).wait_readable()
    tally.ended = True
    for thread in clients:
        thread.wait()
    sys.stdout.write(
        json.dumps(
            {
                "answers": tally.answers,
                "failures": tally.failures,
                "older": tally.older,
                "changed": tally.changed,
                "seconds": time.monotonic() - began,
            }
        )
    )


main()
