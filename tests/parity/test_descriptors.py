"""Several green threads at one descriptor, closing under them, and numbers used again."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def test_readers_of_one_socket_are_served_in_order(run_patched: Callable[..., str]) -> None:
    run_patched("""
import socket
left, right = socket.socketpair()
got = []
def read(name):
    got.append((name, right.recv(1)))
threads = [spawn(read, name) for name in "abcdefghi"]
sleep(0)
# The third in line leaves it, and nobody else's turn is lost.
threads[2].cancel()
for number, name in enumerate("abdefghi"):
    left.send(b"%d" % number)
    while len(got) <= number:
        sleep(0)
    assert got[number] == (name, b"%d" % number), got
left.close()
right.close()
""")


def test_one_reads_while_another_writes(run_patched: Callable[..., str]) -> None:
    run_patched("""
import socket
left, right = socket.socketpair()
data = bytes(3_000_000)
def echo():
    while chunk := right.recv(65536):
        right.sendall(chunk)
def read():
    size = 0
    while size < len(data):
        size += len(left.recv(65536))
    return size
echoing, reading = spawn(echo), spawn(read)
left.sendall(data)
assert reading.wait() == len(data)
left.shutdown(socket.SHUT_WR)
echoing.wait()
left.close()
right.close()
""")


def test_closing_wakes_every_waiter_at_once(run_patched: Callable[..., str]) -> None:
    run_patched("""
import errno, socket
left, right = socket.socketpair()
def fails(call, *args):
    try:
        call(*args)
    except OSError as exc:
        return exc.errno
listener = socket.create_server(("127.0.0.1", 0))
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
udp.bind(("127.0.0.1", 0))
waiting = [spawn(fails, right.recv, 1) for _ in range(3)]
waiting.append(spawn(fails, right.sendall, bytes(10_000_000)))
waiting.append(spawn(fails, listener.accept))
waiting.append(spawn(fails, udp.recvfrom, 1))
sleep(0)
for sock in (right, listener, udp):
    sock.close()
assert [thread.wait() for thread in waiting] == [errno.EBADF] * 6
left.close()
""")


def test_a_number_that_comes_round_again_wakes_nobody_of_before(
    run_patched: Callable[..., str],
) -> None:
    run_patched("""
import os, socket
def exchange():
    left, right = socket.socketpair()
    with left, right:
        reading = spawn(right.recv, 1)
        sleep(0)
        left.send(b"x")
        assert reading.wait() == b"x"
        # Readable when it is closed: an event of this number may be on its way.
        left.send(b"stale")
        return right.fileno()
numbers = set()
for _ in range(200):
    numbers.add(exchange())
    left, right = socket.socketpair()
    right.settimeout(0.0)
    numbers.add(right.fileno())
    try:
        right.recv(1)
    except BlockingIOError:
        pass
    else:
        raise AssertionError("it was another socket's")
    right.settimeout(None)
    reading = spawn(right.recv, 10)
    sleep(0)
    left.send(b"mine")
    assert reading.wait() == b"mine"
    left.close()
    right.close()
# They did come round.
assert len(numbers) < 20, numbers
""")
