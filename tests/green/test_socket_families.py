"""Every family and call of green sockets that the machine has, beside what the stdlib says."""

from __future__ import annotations

import array
import fcntl
import os
import socket as stdlib
from typing import TYPE_CHECKING

import pytest

from verdant import Timeout, sleep, spawn
from verdant.green.socket import create_connection, create_server, fromfd, socket, socketpair

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def _has_ipv6() -> bool:
    try:
        with stdlib.socket(stdlib.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


needs_ipv6 = pytest.mark.skipif(not _has_ipv6(), reason="this machine has no IPv6 loopback")
FAMILIES = [
    pytest.param("127.0.0.1", stdlib.AF_INET, id="IPv4"),
    pytest.param("::1", stdlib.AF_INET6, id="IPv6", marks=needs_ipv6),
    pytest.param(None, stdlib.AF_UNIX, id="unix"),
]


def address_for(host: str | None, folder: Path, name: str = "end") -> str | tuple[str, int]:
    return str(folder / name) if host is None else (host, 0)


@pytest.mark.parametrize(("host", "family"), FAMILIES)
def test_streams(host: str | None, family: int, tmp_path: Path) -> None:
    with socket(family) as listener:
        listener.bind(address_for(host, tmp_path))
        listener.listen()
        accepting = spawn(listener.accept)
        with socket(family) as client:
            client.connect(listener.getsockname())
            served, _ = accepting.wait()
            with served:
                assert (served.family, served.type) == (family, stdlib.SOCK_STREAM)
                assert served.getpeername() == client.getsockname()
                reading = spawn(served.recv, 10)
                sleep(0)
                client.sendall(b"stream")
                assert reading.wait() == b"stream"
                client.shutdown(stdlib.SHUT_WR)
                assert served.recv(10) == b""


@pytest.mark.parametrize(("host", "family"), FAMILIES)
def test_datagrams(host: str | None, family: int, tmp_path: Path) -> None:
    with socket(family, stdlib.SOCK_DGRAM) as left, socket(family, stdlib.SOCK_DGRAM) as right:
        left.bind(address_for(host, tmp_path, "left"))
        right.bind(address_for(host, tmp_path, "right"))
        reading = spawn(right.recvfrom, 100)
        sleep(0)
        assert left.sendto(b"one", right.getsockname()) == 3
        assert reading.wait() == (b"one", left.getsockname())
        buffer = bytearray(10)
        left.sendto(b"two", 0, right.getsockname())
        assert right.recvfrom_into(buffer) == (3, left.getsockname())
        assert buffer[:3] == b"two"
        # Longer than asked for: the rest is lost, and said to be.
        left.sendmsg([b"thr", b"ee"], [], 0, right.getsockname())
        data, _, flags, _ = right.recvmsg(3)
        assert (data, flags & stdlib.MSG_TRUNC) == (b"thr", stdlib.MSG_TRUNC)
        left.connect(right.getsockname())
        left.send(b"")
        assert right.recv(10) == b""


def test_sequenced_packets_keep_their_bounds() -> None:
    left, right = socketpair(stdlib.AF_UNIX, stdlib.SOCK_SEQPACKET)
    with left, right:
        reading = spawn(lambda: [right.recv(100) for _ in range(2)])
        sleep(0)
        left.send(b"first")
        left.send(b"second")
        assert reading.wait() == [b"first", b"second"]


def _into(end: socket) -> bytes:
    buffer = bytearray(100)
    return bytes(buffer[: end.recv_into(buffer)])


def _msg_into(end: socket) -> bytes:
    first, second = bytearray(2), bytearray(98)
    count, _, _, _ = end.recvmsg_into([first, second])
    return bytes(first + second)[:count]


RECEIVERS: dict[str, Callable[[socket], bytes]] = {
    "recv": lambda end: end.recv(100),
    "recv with flags": lambda end: end.recv(100, stdlib.MSG_NOSIGNAL),
    "recv_into": _into,
    "recvfrom": lambda end: end.recvfrom(100)[0],
    "recvmsg": lambda end: end.recvmsg(100)[0],
    "recvmsg_into": _msg_into,
    "makefile": lambda end: end.makefile("rb", buffering=0).read(100) or b"",
}
SENDERS: dict[str, Callable[[socket, bytes], object]] = {
    "send": lambda end, data: end.send(data),
    "sendall": lambda end, data: end.sendall(data),
    "sendall of an array": lambda end, data: end.sendall(array.array("B", data)),
    "sendmsg": lambda end, data: end.sendmsg([data[:2], data[2:]]),
}


def fill(send: Callable[[], object]) -> None:
    """Send until there is no room, which must be told and not waited for."""
    with Timeout(10):
        while True:
            try:
                send()
            except BlockingIOError:
                return


@pytest.mark.parametrize("receiver", RECEIVERS)
@pytest.mark.parametrize("sender", SENDERS)
def test_every_call_parks_until_another_has_sent(receiver: str, sender: str) -> None:
    left, right = socketpair()
    with left, right:
        reading = spawn(RECEIVERS[receiver], right)
        for _ in range(3):
            sleep(0)
        assert not reading.done
        SENDERS[sender](left, b"message")
        assert reading.wait() == b"message"


@pytest.mark.parametrize("sender", SENDERS)
def test_every_call_parks_until_there_is_room(sender: str) -> None:
    left, right = socketpair()
    data = bytes(1 << 20)
    with left, right:
        left.setblocking(False)
        fill(lambda: left.send(data))
        left.setblocking(True)
        writing = spawn(SENDERS[sender], left, b"message")
        for _ in range(3):
            sleep(0)
        assert not writing.done
        got = bytearray()
        while not got.endswith(b"message"):
            got += right.recv(1 << 16)
        writing.wait()


@pytest.mark.parametrize("flagged", ["recv", "recv_into", "recvfrom", "recvmsg", "recvmsg_into"])
def test_a_flag_asks_for_an_answer_at_once(flagged: str) -> None:
    left, right = socketpair()
    flag = stdlib.MSG_DONTWAIT
    calls: dict[str, Callable[[], object]] = {
        "recv": lambda: right.recv(1, flag),
        "recv_into": lambda: right.recv_into(bytearray(1), 1, flag),
        "recvfrom": lambda: right.recvfrom(1, flag),
        "recvmsg": lambda: right.recvmsg(1, 0, flag),
        "recvmsg_into": lambda: right.recvmsg_into([bytearray(1)], 0, flag),
    }
    with left, right:
        with pytest.raises(BlockingIOError):
            calls[flagged]()
        # A timeout outweighs the flag, in the stdlib too.
        right.settimeout(0.001)
        with pytest.raises(TimeoutError):
            calls[flagged]()


@pytest.mark.parametrize("flagged", ["send", "sendall", "sendmsg"])
def test_so_it_does_when_sending(flagged: str) -> None:
    left, right = socketpair()
    flag, data = stdlib.MSG_DONTWAIT, bytes(1 << 20)
    calls: dict[str, Callable[[], object]] = {
        "send": lambda: left.send(data, flag),
        "sendall": lambda: left.sendall(data, flag),
        "sendmsg": lambda: left.sendmsg([data], [], flag),
    }
    with left, right:
        fill(calls[flagged])


@pytest.mark.parametrize("host", ["127.0.0.1", pytest.param("::1", marks=needs_ipv6)])
def test_servers_and_connections(host: str) -> None:
    family = stdlib.AF_INET6 if ":" in host else stdlib.AF_INET
    with create_server((host, 0), family=family, reuse_port=True) as listener:
        accepting = spawn(listener.accept)
        with create_connection(
            listener.getsockname()[:2], timeout=60, source_address=(host, 0)
        ) as client:
            assert client.gettimeout() == 60
            served, _ = accepting.wait()
            served.close()
            assert client.recv(1) == b""


@needs_ipv6
def test_one_server_for_both_families() -> None:
    if not stdlib.has_dualstack_ipv6():
        pytest.skip("this machine has no dual-stack sockets")
    with create_server(("", 0), family=stdlib.AF_INET6, dualstack_ipv6=True) as listener:
        for host in ("127.0.0.1", "::1"):
            accepting = spawn(listener.accept)
            create_connection((host, listener.getsockname()[1])).close()
            accepting.wait()[0].close()


@pytest.mark.parametrize("bad", ["", b"", [], 3j, object()])
def test_a_timeout_is_a_number(bad: object) -> None:
    with socket() as green, stdlib.socket() as plain:
        for end in (green, plain):
            with pytest.raises(TypeError):
                end.settimeout(bad)  # type: ignore[arg-type]


@pytest.mark.parametrize("bad", [-1, -0.5, float("nan")])
def test_a_timeout_is_no_less_than_nothing(bad: float) -> None:
    with socket() as green, stdlib.socket() as plain:
        for end in (green, plain):
            with pytest.raises(ValueError, match=r"out of range|NaN"):
                end.settimeout(bad)


def test_what_is_closed_can_do_nothing() -> None:
    left, right = socketpair()
    right.close()
    left.close()
    calls: list[Callable[[], object]] = [
        lambda: left.recv(1),
        lambda: left.send(b"x"),
        lambda: left.settimeout(1),
        lambda: left.setblocking(True),
        lambda: left.getpeername(),
    ]
    for call in calls:
        with pytest.raises(OSError, match="Bad file descriptor"):
            call()


def test_a_descriptor_that_is_given_away_blocks_as_its_owner_believes() -> None:
    left, right = socketpair()
    right.settimeout(5)
    fds = left.detach(), right.detach()
    flags = [fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_NONBLOCK != 0 for fd in fds]
    assert flags == [False, True]
    with fromfd(fds[0], stdlib.AF_UNIX, stdlib.SOCK_STREAM) as again:
        # More than there is room for: it parks.
        writing = spawn(again.sendall, bytes(1 << 23))
        sleep(0)
        assert not writing.done
        writing.cancel()
        writing.join()
    for fd in fds:
        os.close(fd)


def test_a_subclass_may_build_its_connects_upon_each_other() -> None:
    class Careful(socket):
        def connect_ex(self, address: object, /) -> int:
            try:
                super().connect(address)
            except OSError as exc:
                return exc.errno or -1
            return 0

        def connect(self, address: object, /) -> None:
            if super().connect_ex(address):
                raise ConnectionError

    with create_server(("127.0.0.1", 0)) as listener, Careful() as first, Careful() as second:
        assert first.connect_ex(listener.getsockname()) == 0
        second.connect(listener.getsockname())
        listener.accept()[0].close()
