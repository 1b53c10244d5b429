"""psycopg 3, in pure Python, under the patch, against a real PostgreSQL.

Its waits go through `selectors` and `select`, which the patch makes green; the lock table of the
server says who waits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture(autouse=True)
def _driver() -> None:
    # It finds libpq when imported, and ImportError is what a missing one raises.
    pytest.importorskip(
        "psycopg", reason="psycopg, or its libpq5, is missing", exc_type=ImportError
    )


CLIENTS = """
import sys
import psycopg
assert psycopg.pq.__impl__ == "python"
conninfo = f"host=127.0.0.1 port={sys.argv[1]} user=postgres dbname=postgres"
connect = lambda **options: psycopg.connect(conninfo, autocommit=True, **options)

def until_waiting(count):
    question = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
    while admin.execute(question).fetchone() != (count,):
        pass

admin = connect()
"""


def test_thirty_clients_wait_for_a_lock_at_once(
    run_patched: Callable[..., str], postgresql_port: str
) -> None:
    run_patched(
        CLIENTS
        + """
admin.execute("SELECT pg_advisory_lock(1)")
def client(number):
    with connect() as connection:
        connection.execute("SELECT pg_advisory_lock(1)")
        return connection.execute("SELECT %s::int", [number]).fetchone()[0]
waiting = [spawn(client, n) for n in range(30)]
until_waiting(30)
admin.execute("SELECT pg_advisory_unlock(1)")
assert [w.wait() for w in waiting] == list(range(30))
admin.close()
""",
        postgresql_port,
    )


def test_listen_and_notify(run_patched: Callable[..., str], postgresql_port: str) -> None:
    run_patched(
        CLIENTS
        + """
import threading
ready = threading.Barrier(11)
def listen():
    with connect() as connection:
        connection.execute("LISTEN news")
        ready.wait()
        return [n.payload for n in connection.notifies(stop_after=1)]
listening = [spawn(listen) for _ in range(10)]
ready.wait()
admin.execute("NOTIFY news, 'it is green'")
assert [l.wait() for l in listening] == [["it is green"]] * 10
admin.close()
""",
        postgresql_port,
    )


def test_a_timeout_ends_a_query(run_patched: Callable[..., str], postgresql_port: str) -> None:
    run_patched(
        CLIENTS
        + """
admin.execute("SELECT pg_advisory_lock(2)")
connection = connect()
try:
    with Timeout(0.05):
        connection.execute("SELECT pg_advisory_lock(2)")
except Timeout:
    pass
else:
    raise AssertionError("the lock is held")
# The server still works at the query, and its answer is still to come: whoever gives up says so.
until_waiting(1)
connection.cancel_safe()
connection.close()
until_waiting(0)
# The server's own bound.
with connect(options="-c statement_timeout=50ms") as hasty:
    try:
        hasty.execute("SELECT pg_advisory_lock(2)")
    except psycopg.errors.QueryCanceled:
        assert hasty.execute("SELECT 1").fetchone() == (1,)
    else:
        raise AssertionError("the lock is held")
admin.close()
""",
        postgresql_port,
    )


def test_transactions_copy_and_a_server_side_cursor(
    run_patched: Callable[..., str], postgresql_port: str
) -> None:
    run_patched(
        CLIENTS
        + """
admin.execute("CREATE TABLE IF NOT EXISTS rows (client int, number int)")
def client(number):
    with psycopg.connect(conninfo) as connection, connection.cursor() as cursor:
        with cursor.copy("COPY rows FROM STDIN") as copy:
            for n in range(500):
                copy.write_row((number, n))
        try:
            with connection.transaction():
                cursor.execute("INSERT INTO rows VALUES (%s, 999)", [number])
                raise RuntimeError("roll it back")
        except RuntimeError:
            pass
        with connection.cursor(name="server_side") as rows:
            rows.execute("SELECT number FROM rows WHERE client = %s ORDER BY number", [number])
            return [row[0] for row in rows]
clients = [spawn(client, n) for n in range(8)]
assert all(c.wait() == list(range(500)) for c in clients)
admin.execute("DROP TABLE rows")
admin.close()
""",
        postgresql_port,
    )


def test_the_drivers_own_pool(run_patched: Callable[..., str], postgresql_port: str) -> None:
    pytest.importorskip("psycopg_pool", reason="the package psycopg_pool is not installed")
    run_patched(
        CLIENTS
        + """
from psycopg_pool import ConnectionPool
admin.execute("SELECT pg_advisory_lock(3)")
options = {"autocommit": True}
with ConnectionPool(conninfo, min_size=2, max_size=4, timeout=50, kwargs=options) as pool:
    def client(number):
        with pool.connection() as connection:
            connection.execute("SELECT pg_advisory_lock_shared(3)")
            connection.execute("SELECT pg_advisory_unlock_shared(3)")
            return number
    clients = [spawn(client, n) for n in range(12)]
    # The rest waits for a connection, in this process.
    until_waiting(4)
    admin.execute("SELECT pg_advisory_unlock(3)")
    assert [c.wait() for c in clients] == list(range(12))
admin.close()
""",
        postgresql_port,
    )
