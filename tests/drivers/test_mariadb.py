"""PyMySQL under the patch, against a real MariaDB, whose process list says who waits."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

pytest.importorskip("pymysql", reason="the driver pymysql is not installed")

CLIENTS = """
import sys
import pymysql
def connect(**options):
    return pymysql.connect(
        host="127.0.0.1", port=int(sys.argv[1]), user="root", autocommit=True, **options
    )

def ask(connection, *question):
    with connection.cursor() as cursor:
        cursor.execute(*question)
        return cursor.fetchone()[0]

def until_waiting(count):
    question = "SELECT count(*) FROM information_schema.processlist WHERE state = 'User lock'"
    while ask(admin, question) != count:
        pass

admin = connect()
"""


def test_thirty_clients_wait_for_a_lock_at_once(
    run_patched: Callable[..., str], mariadb_port: str
) -> None:
    run_patched(
        CLIENTS
        + """
assert ask(admin, "SELECT GET_LOCK('gate', 0)") == 1
def client(number):
    with connect() as connection:
        assert ask(connection, "SELECT GET_LOCK('gate', 3600)") == 1
        assert ask(connection, "SELECT RELEASE_LOCK('gate')") == 1
        return ask(connection, "SELECT %s", [number])
waiting = [spawn(client, n) for n in range(30)]
until_waiting(30)
assert ask(admin, "SELECT RELEASE_LOCK('gate')") == 1
assert [w.wait() for w in waiting] == list(range(30))
admin.close()
""",
        mariadb_port,
    )


def test_a_timeout_ends_a_query(run_patched: Callable[..., str], mariadb_port: str) -> None:
    run_patched(
        CLIENTS
        + """
assert ask(admin, "SELECT GET_LOCK('held', 0)") == 1
connection = connect()
try:
    with Timeout(0.05):
        ask(connection, "SELECT GET_LOCK('held', 3600)")
except Timeout:
    pass
else:
    raise AssertionError("the lock is held")
connection.close()
# The driver's own bound.
hasty = connect(read_timeout=1)
try:
    ask(hasty, "SELECT GET_LOCK('held', 3600)")
except pymysql.err.OperationalError as exc:
    assert isinstance(exc.__context__, TimeoutError)
else:
    raise AssertionError("the lock is held")
admin.close()
""",
        mariadb_port,
    )


def test_rows_come_whole_and_unbuffered(run_patched: Callable[..., str], mariadb_port: str) -> None:
    run_patched(
        CLIENTS
        + """
with admin.cursor() as cursor:
    cursor.execute("CREATE DATABASE things")
    cursor.execute("CREATE TABLE things.kept (client INT, number INT, text LONGTEXT)")
def client(number):
    with connect(database="things", cursorclass=pymysql.cursors.SSCursor) as connection:
        with connection.cursor() as cursor:
            cursor.executemany(
                "INSERT INTO kept VALUES (%s, %s, %s)",
                [(number, n, "long " * 2000) for n in range(100)],
            )
            cursor.execute("SELECT number, text FROM kept WHERE client = %s ORDER BY 1", [number])
            return [(row[0], len(row[1])) for row in cursor]
clients = [spawn(client, n) for n in range(8)]
assert all(c.wait() == [(n, 10_000) for n in range(100)] for c in clients)
with admin.cursor() as cursor:
    cursor.execute("DROP DATABASE things")
admin.close()
""",
        mariadb_port,
    )
