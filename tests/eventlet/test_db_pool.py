from __future__ import annotations

import sqlite3
import threading
from typing import TYPE_CHECKING, Any

import pytest

from verdant import eventlet
from verdant.eventlet import db_pool, tpool

if TYPE_CHECKING:
    from pathlib import Path


class Database:
    """A DB-API module: SQLite, whose connections are counted and may take their time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.connections: list[Connection] = []
        self.gate: Any = None

    def connect(self, *args: Any, **kwargs: Any) -> Connection:
        if self.gate is not None:
            self.gate()
        connection = sqlite3.connect(self.path, check_same_thread=False, factory=Connection)
        connection.arguments = (args, kwargs)
        self.connections.append(connection)
        return connection


class Connection(sqlite3.Connection):
    arguments: Any = None
    closed = False
    broken = False

    def rollback(self) -> None:
        if self.broken:
            raise sqlite3.OperationalError("broken")
        super().rollback()

    def close(self) -> None:
        self.closed = True
        super().close()


@pytest.fixture
def database(tmp_path: Path) -> Any:
    database = Database(tmp_path / "test.db")
    connection = database.connect()
    connection.execute("create table t (n integer)")
    connection.commit()
    connection.close()
    database.connections.clear()
    yield database
    for connection in database.connections:
        connection.close()


POOLS = [db_pool.RawConnectionPool, db_pool.TpooledConnectionPool]


@pytest.mark.parametrize("kind", POOLS)
def test_connections_are_used_again(kind: Any, database: Any) -> None:
    pool = kind(database, 0, 2, 10, 30, 5, db_pool.cleanup_rollback, "positional", user="me")
    for number in range(3):
        connection = pool.get()
        try:
            cursor = connection.cursor()
            cursor.execute("insert into t values (?)", (number,))
            connection.commit()
        finally:
            pool.put(connection)
    assert len(database.connections) == 1
    assert database.connections[0].arguments == (("positional",), {"user": "me"})
    with pool.item() as connection:
        rows = connection.cursor().execute("select n from t order by n").fetchall()
    assert [tuple(row) for row in rows] == [(0,), (1,), (2,)]
    assert pool.free() == 2
    pool.clear()
    assert database.connections[0].closed


def test_cursors_of_tpooled_connections_are_proxies(database: Any) -> None:
    assert db_pool.ConnectionPool is db_pool.TpooledConnectionPool
    pool = db_pool.ConnectionPool(database)
    with pool.item() as connection:
        assert isinstance(connection.cursor(), tpool.Proxy)
    pool.clear()


def test_a_connection_that_was_given_back_is_of_no_use(database: Any) -> None:
    pool = db_pool.RawConnectionPool(database)
    connection = pool.get()
    assert connection
    pool.put(connection)
    assert not connection
    with pytest.raises(AttributeError):
        connection.cursor()
    other = pool.get()
    other.close()
    assert not other
    assert pool.free() == 4
    assert not database.connections[0].closed
    pool.clear()


def test_what_was_not_committed_is_rolled_back(database: Any) -> None:
    pool = db_pool.RawConnectionPool(database, max_size=1)
    with pool.item() as connection:
        connection.cursor().execute("insert into t values (7)")
    with pool.item() as connection:
        assert connection.cursor().execute("select * from t").fetchall() == []
    cleaned: list[Any] = []
    with pool.item(cleanup=cleaned.append) as connection:
        pass
    assert cleaned == [database.connections[0]]
    with pool.item(cleanup=None):
        pass
    pool.clear()


def test_a_broken_connection_is_dropped(database: Any, capfd: Any, caplog: Any) -> None:
    pool = db_pool.RawConnectionPool(database, max_size=1)
    with pool.item():
        database.connections[0].broken = True
    assert pool.free() == 1
    with pool.item() as connection:
        assert connection.cursor().execute("select 1").fetchall() == [(1,)]
    assert len(database.connections) == 2
    pool.clear()


def test_one_who_waits_makes_another_when_one_is_dropped(database: Any, caplog: Any) -> None:
    pool = db_pool.RawConnectionPool(database, max_size=1)
    first = pool.get()
    waiter = eventlet.spawn(pool.get)
    eventlet.sleep(0)
    database.connections[0].broken = True
    pool.put(first)
    second = waiter.wait()
    assert second.cursor().execute("select 1").fetchall() == [(1,)]
    pool.put(second)
    pool.clear()


@pytest.mark.parametrize("bounds", [{"max_age": 0}, {"max_idle": 0}])
def test_zero_closes_each_when_it_comes_back(bounds: Any, database: Any) -> None:
    pool = db_pool.RawConnectionPool(database, **bounds)
    with pool.item():
        pass
    assert database.connections[0].closed
    assert pool.free() == 4
    assert len(pool.free_items) == 0


@pytest.mark.parametrize("bounds", [{"max_age": 0.2}, {"max_idle": 0.2}])
def test_old_connections_are_closed_by_themselves(bounds: Any, database: Any) -> None:
    pool = db_pool.RawConnectionPool(database, **bounds)
    with pool.item():
        pass
    assert not database.connections[0].closed
    with eventlet.Timeout(5):
        while not database.connections[0].closed:
            eventlet.sleep(0.005)
    assert pool.free() == 4
    assert pool.current_size == 0


@pytest.mark.parametrize("kind", POOLS)
def test_connecting_has_a_bound(kind: Any, database: Any) -> None:
    pool = kind(database, max_size=1, connect_timeout=0.02)
    ended = threading.Event()
    if kind is db_pool.RawConnectionPool:
        database.gate = lambda: eventlet.sleep(10)
    else:
        database.gate = lambda: ended.wait(10)
    with pytest.raises(db_pool.ConnectTimeout):
        pool.get()
    assert pool.free() == 1
    ended.set()
    database.gate = None
    pool.connect_timeout = 30
    with pool.item():
        pass
    pool.clear()


def test_a_pool_per_host_and_database(database: Any) -> None:
    connector = db_pool.DatabaseConnector(
        database,
        {"db.example": {"user": "internal"}, "default": {"user": "anybody"}},
        db_pool.RawConnectionPool,
        max_size=7,
    )
    pool: Any = connector.get("db.example", "one")
    assert connector.get("db.example", "one") is pool
    assert connector.get("db.example", "two") is not pool
    assert pool.max_size == 7
    with pool.item():
        pass
    other: Any = connector.get("elsewhere", "one")
    with other.item():
        pass
    first, second = (connection.arguments[1] for connection in database.connections)
    assert first == {"db": "one", "host": "db.example", "user": "internal"}
    assert second == {"db": "one", "host": "elsewhere", "user": "anybody"}
    assert connector.credentials_for("x") == {"user": "anybody"}
    pool.clear()
    other.clear()
