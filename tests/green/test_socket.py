"""Green sockets, and the traps of the short-read rule."""

from __future__ import annotations

import os
import random
import socket as stdlib
import struct
import tempfile
from pathlib import Path

import pytest

from verdant import Event, Timeout, sleep, spawn
from verdant.green.dns import getaddrinfo
from verdant.green.socket import create_connection, create_server, socket, socketpair


def pair() -> tuple[socket, socket]:
    """Two ends of a TCP connection on loopback."""
    listener = create_server(("127.0.0.1", 0))
    accepting = spawn(listener.accept)
    left = create_connection(listener.getsockname())
    right, _ = accepting.wait()
    listener.close()
    return left, right


def test_short_reads_then_more_data() -> None:
    left, right = pair()
    with left, right:
        for size in (1, 10, 8192, 3, 20_000):
            data = random.Random(size).randbytes(size)
            left.sendall(data)
            got = b""
            while len(got) < size:
                got += right.recv(8192)
            assert got == data


def test_data_and_fin_in_one_edge() -> None:
    left, right = pair()
    with right:
        left.sendall(b"last words")
        left.close()
        assert right.recv(8192) == b"last words"
        assert right.recv(8192) == b""


def test_a_reset_is_an_error_not_a_hang() -> None:
    left, right = pair()
    with right:
        left.setsockopt(stdlib.SOL_SOCKET, stdlib.SO_LINGER, struct.pack("ii", 1, 0))
        reader = spawn(right.recv, 10)
        sleep(0)
        left.close()
        with pytest.raises(ConnectionResetError):
            reader.wait()


def test_urgent_data_stops_a_receive_short_of_what_is_there() -> None:
    left, right = pair()
    with left, right:
        left.send(b"before")
        left.send(b"!", stdlib.MSG_OOB)
        left.send(b"after")
        got = b""
        with Timeout(10):
            while not got.endswith(b"after"):
                got += right.recv(8192)
        assert got == b"beforeafter"


def test_peeking_does_not_count_as_draining() -> None:
    left, right = pair()
    with left, right:
        left.sendall(b"abc")
        assert right.recv(8192, stdlib.MSG_PEEK) == b"abc"
        assert right.recv(8192) == b"abc"


def test_datagrams_are_not_a_stream() -> None:
    left, right = socketpair(stdlib.AF_UNIX, stdlib.SOCK_DGRAM)
    with left, right:
        for number in range(10):
            left.send(b"%d" % number)
        assert [right.recv(100) for _ in range(10)] == [b"%d" % n for n in range(10)]


def test_somebody_else_reading_the_same_descriptor_does_no_harm() -> None:
    left, right = pair()
    with left, right:
        left.sendall(b"one")
        assert right.recv(8192) == b"one"
        twin = os.dup(right.fileno())
        left.sendall(b"stolen")
        reader = spawn(right.recv, 8192)
        while True:
            try:
                assert os.read(twin, 100) == b"stolen"
                break
            except BlockingIOError:
                sleep(0)
        os.close(twin)
        sleep(0)
        assert not reader.done
        left.sendall(b"two")
        assert reader.wait() == b"two"


def test_closing_wakes_a_reader() -> None:
    left, right = pair()
    with left:
        reader = spawn(right.recv, 10)
        sleep(0)
        right.close()
        with pytest.raises(OSError, match="Bad file descriptor"):
            reader.wait()


def test_timeouts_of_sockets_and_scopes_around_them() -> None:
    left, right = pair()
    with left, right:
        with pytest.raises(Timeout), Timeout(0.001):
            right.recv(1)
        right.settimeout(0.001)
        with pytest.raises(TimeoutError) as caught:
            right.recv(1)
        assert not isinstance(caught.value, Timeout)
        right.settimeout(60)
        with pytest.raises(Timeout), Timeout(0.0):
            right.recv(1)
        right.setblocking(False)
        with pytest.raises(BlockingIOError):
            right.recv(1)
        right.settimeout(None)
        left.sendall(b"still usable")
        assert right.recv(100) == b"still usable"


def test_a_large_send_through_a_slow_reader_while_others_run() -> None:
    left, right = pair()
    data = random.Random(1).randbytes(20 << 20)
    turns = 0
    finished = Event()

    def others() -> None:
        nonlocal turns
        while not finished.is_set():
            turns += 1
            sleep(0)

    with left, right:
        runner = spawn(others)
        sender = spawn(left.sendall, data)
        got = bytearray()
        while len(got) < len(data):
            got += right.recv(65_536)
        sender.wait()
        finished.set()
        runner.join()
    assert bytes(got) == data
    assert turns > 1


def test_connection_refused_names_the_address() -> None:
    with socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with pytest.raises(ConnectionRefusedError):
        create_connection(("127.0.0.1", port))


def test_files_and_descriptors_travel() -> None:
    left, right = socketpair()
    with left, right, tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "file"
        data = random.Random(2).randbytes(300_000)
        path.write_bytes(data)
        with path.open("rb") as file:
            sender = spawn(left.sendfile, file)
            got = b""
            while len(got) < len(data):
                got += right.recv(65_536)
            assert sender.wait() == len(data)
            assert got == data
            rights = struct.pack("i", file.fileno())
            left.sendmsg([b"x"], [(stdlib.SOL_SOCKET, stdlib.SCM_RIGHTS, rights)])
        _, ancillary, _, _ = right.recvmsg(10, stdlib.CMSG_SPACE(4))
        (fd,) = struct.unpack("i", ancillary[0][2])
        assert os.fstat(fd).st_size == len(data)
        os.close(fd)
        with left.makefile("wb") as writing, right.makefile("rb") as reading:
            writing.write(b"a line\n")
            writing.flush()
            assert reading.readline() == b"a line\n"


def test_names_resolve_and_bad_ones_fail() -> None:
    assert ("127.0.0.1", 80) in [info[4] for info in getaddrinfo("localhost", 80, stdlib.AF_INET)]
    with pytest.raises(stdlib.gaierror):
        getaddrinfo("no-such-host.invalid", 80)


def test_five_hundred_connections() -> None:
    listener = create_server(("127.0.0.1", 0), backlog=512)

    def serve() -> None:
        while True:
            connection, _ = listener.accept()
            spawn(echo, connection)

    def echo(connection: socket) -> None:
        with connection:
            while data := connection.recv(100):
                connection.sendall(data)

    def client(number: int) -> bytes:
        with create_connection(listener.getsockname()) as sock:
            sock.sendall(b"%d" % number)
            return sock.recv(100)

    server = spawn(serve)
    threads = [spawn(client, number) for number in range(500)]
    assert [thread.wait() for thread in threads] == [b"%d" % n for n in range(500)]
    server.cancel()
    server.join()
    listener.close()


def full_listener() -> tuple[socket, list[socket]]:
    """A listener whose backlog is full, so that one more is not accepted; and who fills it."""
    listener = create_server(("127.0.0.1", 0), backlog=1)
    fillers = []
    while True:
        filler = socket()
        filler.settimeout(0.2)
        fillers.append(filler)
        try:
            filler.connect(listener.getsockname())
        except TimeoutError:
            return listener, fillers


class Bound(OSError):
    """A bound that looks like a connection's failure."""


@pytest.mark.parametrize("all_errors", [False, True])
def test_a_callers_bound_is_not_one_addresss_failure(
    all_errors: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    listener, fillers = full_listener()

    def twice(host: str, port: int, *rest: int) -> object:
        found = getaddrinfo(host, port, *rest)
        return [found[0], found[0]]

    monkeypatch.setattr("verdant.green.socket.getaddrinfo", twice)
    mine = Bound("out of time")
    scope = Timeout(0.05, mine)
    # Were it taken for the first address's failure, the second would be tried without a bound.
    with pytest.raises(Bound) as caught, Timeout(30), scope:
        create_connection(listener.getsockname(), all_errors=all_errors)
    assert caught.value is mine
    plain = Timeout(0.05)
    with pytest.raises(Timeout) as expired, Timeout(30), plain:
        create_connection(listener.getsockname(), all_errors=all_errors)
    assert expired.value is plain
    # A socket's own timeout is for one address, as in the stdlib.
    with pytest.raises(ExceptionGroup if all_errors else TimeoutError) as failed:
        create_connection(listener.getsockname(), 0.05, all_errors=all_errors)
    assert not isinstance(failed.value, ExceptionGroup) or len(failed.value.exceptions) == 2
    for sock in (listener, *fillers):
        sock.close()
