"""Names: the platform's answers, from threads that keep nobody else waiting."""

from __future__ import annotations

import socket as stdlib
from typing import TYPE_CHECKING

import pytest

from verdant import Event, Timeout, sleep, spawn
from verdant.green import dns

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("getaddrinfo", ("localhost", 80)),
        ("getaddrinfo", ("127.0.0.1", "http", stdlib.AF_INET, stdlib.SOCK_STREAM)),
        ("getaddrinfo", ("::1", 80, 0, 0, 0, stdlib.AI_NUMERICHOST)),
        ("getaddrinfo", (None, 80, 0, stdlib.SOCK_STREAM, 0, stdlib.AI_PASSIVE)),
        ("getaddrinfo", (b"localhost", b"80")),
        ("getnameinfo", (("127.0.0.1", 80), stdlib.NI_NUMERICHOST | stdlib.NI_NUMERICSERV)),
        ("gethostbyname", ("localhost",)),
        ("gethostbyname_ex", ("localhost",)),
        ("gethostbyaddr", ("127.0.0.1",)),
        ("getfqdn", ("localhost",)),
    ],
)
def test_the_answers_are_the_stdlibs(name: str, arguments: tuple[object, ...]) -> None:
    def outcome(call: Callable[..., object]) -> object:
        try:
            return call(*arguments)
        except OSError as exc:
            return type(exc), exc.errno

    assert outcome(getattr(dns, name)) == outcome(getattr(stdlib, name))


@pytest.mark.parametrize("bad", [("no-such-host.invalid", 80), ("127.0.0.1", "no-such-service")])
def test_what_cannot_be_found_is_an_error(bad: tuple[str, int]) -> None:
    with pytest.raises(stdlib.gaierror):
        dns.getaddrinfo(*bad)


def test_bad_arguments_are_the_callers_fault() -> None:
    with pytest.raises(TypeError):
        dns.getaddrinfo(3.5, 80)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        dns.getnameinfo("127.0.0.1", 0)  # type: ignore[arg-type]


def test_a_slow_resolver_keeps_nobody_and_can_be_left(monkeypatch: pytest.MonkeyPatch) -> None:
    # The one part that is not real: a resolver that answers when it is told to.
    from verdant.core.originals import allocate_lock

    answer = allocate_lock()
    answer.acquire()

    def slow(host: str) -> str:
        answer.acquire()
        answer.release()
        return host

    monkeypatch.setattr(dns, "_gethostbyname", slow)
    started = Event()

    def look_up() -> str:
        started.set()
        return dns.gethostbyname("somewhere")

    patient = spawn(look_up)
    started.wait()
    with pytest.raises(Timeout), Timeout(0.001):
        dns.gethostbyname("elsewhere")
    for _ in range(5):
        sleep(0)
    assert not patient.done
    answer.release()
    assert patient.wait() == "somewhere"
