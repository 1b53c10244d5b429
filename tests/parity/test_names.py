"""Names: the platform's own answers, on worker threads, with nothing set up before the first."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def test_the_answers_are_the_platforms(run_patched: Callable[..., str]) -> None:
    run_patched("""
import socket
from verdant.patcher import original
native = original("socket", "getaddrinfo")
def outcome(lookup, *args, **kwargs):
    try:
        return lookup(*args, **kwargs)
    except (OSError, UnicodeError, TypeError, ValueError, OverflowError) as exc:
        return type(exc), exc.args
for args in [
    ("localhost", 80), ("localhost", "http"), ("127.0.0.1", 0), ("::1", 443, socket.AF_INET6),
    ("fe80::1%lo", 80), (None, 80), (None, 80, 0, 0, 0, socket.AI_PASSIVE), ("", 80),
    (socket.gethostname(), None), ("localhost", 80, socket.AF_INET, socket.SOCK_STREAM),
    ("no-such-name.invalid", 80), ("localhost", "no-such-service"), ("1.2.3.4.5", 80),
    ("bücher.invalid", 80), ("x" * 300, 80), (b"localhost", b"80"), ("ip6-localhost", 1),
    ("localhost", 80, 99), (1, 2),
]:
    assert outcome(socket.getaddrinfo, *args) == outcome(native, *args), args
assert outcome(socket.getaddrinfo, host="localhost", port=80, type=socket.SOCK_DGRAM) == \\
    outcome(native, host="localhost", port=80, type=socket.SOCK_DGRAM)
for name, args in [
    ("gethostbyname", ("localhost",)), ("gethostbyname_ex", ("localhost",)),
    ("gethostbyaddr", ("127.0.0.1",)), ("gethostbyname", ("no-such-name.invalid",)),
    ("getnameinfo", (("127.0.0.1", 80), 0)),
    ("getnameinfo", (("127.0.0.1", 80), socket.NI_NUMERICHOST | socket.NI_NUMERICSERV)),
]:
    assert outcome(getattr(socket, name), *args) == outcome(original("socket", name), *args), name
""")


def test_a_slow_resolver_keeps_one_green_thread(run_program: Callable[..., str]) -> None:
    # The resolver is held by a lock that only another green thread frees: it stands for a name
    # server that does not answer, which a test cannot have.
    run_program("""
import socket
held = []
native = socket.getaddrinfo
def slow(host, *args):
    # Whether the host is a number is asked first, and needs no server.
    if host == "slow" and not args[-1] & socket.AI_NUMERICHOST:
        with held[0]:
            return native("localhost", *args)
    return native(host, *args)
socket.getaddrinfo = slow
del slow
from verdant.patcher import monkey_patch
monkey_patch()
from verdant import Timeout, sleep, spawn
from verdant.core.originals import allocate_lock
held.append(allocate_lock())
held[0].acquire()
asking = [spawn(socket.getaddrinfo, "slow", 80) for _ in range(5)]
sleep(0)
assert socket.getaddrinfo("localhost", 80)
try:
    with Timeout(0.01):
        socket.getaddrinfo("slow", 80)
except Timeout:
    pass
else:
    raise AssertionError("it is held")
held[0].release()
assert all(thread.wait() == native("localhost", 80) for thread in asking)
""")


def test_a_listener_and_a_client_by_name(run_patched: Callable[..., str]) -> None:
    run_patched("""
import socket
listener = socket.create_server(("localhost", 0))
served = spawn(listener.accept)
with socket.create_connection(("localhost", listener.getsockname()[1])) as client:
    peer, _ = served.wait()
    client.sendall(b"x")
    assert peer.recv(1) == b"x"
    peer.close()
listener.close()
""")
