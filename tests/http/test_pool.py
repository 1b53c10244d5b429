"""The pool on real sockets: what is lent, what is closed, and who looks after it."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from verdant.http import ConnectionPool, Deadlines, HttpServer, Response
from verdant.http.pool import IDLE_PER_ADDRESS_MAX, IDLE_S_MAX
from verdant.net import bound_address, listen

if TYPE_CHECKING:
    from collections.abc import Iterator

    from verdant.http import ClientConnection

ASK = b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@contextmanager
def pooled() -> Iterator[tuple[ConnectionPool, tuple[str, int], Clock, HttpServer, Deadlines]]:
    listener = listen("127.0.0.1:0")
    server = HttpServer(listener, lambda request, connection: Response(200, [], b"hello"))
    server.start()
    where: Any = bound_address(listener)
    deadlines, clock = Deadlines(), Clock()
    pool = ConnectionPool(deadlines, clock)
    try:
        yield pool, (where.host, where.port), clock, server, deadlines
    finally:
        pool.close()
        server.stop()
        deadlines.stop()


def use(connection: ClientConnection) -> None:
    connection.stream.sendall(ASK)
    connection.read_response(b"GET")
    while connection.read_body_piece():
        pass


def test_the_warmest_is_lent_first_and_to_one_at_a_time() -> None:
    with pooled() as (pool, address, _, _, _):
        idle = pool.at(address)
        one, two = idle.connect(5), idle.connect(5)
        for connection in (one, two):
            use(connection)
            idle.give_back(connection)
        assert len(pool) == 2
        assert idle.borrow() is two
        assert idle.borrow() is one
        assert idle.borrow() is None
        use(one)
        idle.give_back(one)
        idle.discard(two)
        assert pool.at(address) is idle


def test_who_asks_later_finds_what_was_left() -> None:
    with pooled() as (pool, address, _, _, _):
        connection = pool.at(address).connect(5)
        use(connection)
        pool.at(address).give_back(connection)
        assert pool.at(address).borrow() is connection
        pool.at(address).discard(connection)


def test_what_idled_too_long_is_closed_not_lent() -> None:
    with pooled() as (pool, address, clock, _, deadlines):
        idle = pool.at(address)
        connection = idle.connect(5)
        use(connection)
        idle.give_back(connection)
        clock.now += IDLE_S_MAX + 1
        assert idle.borrow() is None
        connection = idle.connect(5)
        use(connection)
        idle.give_back(connection)
        assert len(deadlines._connections) == 1
        clock.now += IDLE_S_MAX + 1
        pool.reap()
        assert len(pool) == 0
        assert not pool.occupied
        assert not deadlines._connections


def test_what_ended_or_was_not_read_to_its_end_is_closed() -> None:
    with pooled() as (pool, address, _, server, deadlines):
        idle = pool.at(address)
        unread = idle.connect(5)
        unread.stream.sendall(ASK)
        unread.read_response(b"GET")
        idle.give_back(unread)
        assert len(pool) == 0
        ended = idle.connect(5)
        use(ended)
        idle.give_back(ended)
        # The server's end is seen by who wants to lend it.
        server.stop()
        assert idle.borrow() is None
        assert not deadlines._connections


def test_a_burst_leaves_a_bounded_number(monkeypatch: Any) -> None:
    monkeypatch.setattr("verdant.http.pool.IDLE_PER_ADDRESS_MAX", 3)
    assert IDLE_PER_ADDRESS_MAX > 3
    with pooled() as (pool, address, _, _, deadlines):
        idle = pool.at(address)
        burst = [idle.connect(5) for _ in range(5)]
        for connection in burst:
            use(connection)
        for connection in burst:
            idle.give_back(connection)
        assert len(pool) == 3
        assert len(deadlines._connections) == 3
