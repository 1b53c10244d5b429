"""psycopg2, a C driver, made green by the hook that it has for that, against a real PostgreSQL."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

pytest.importorskip("psycopg2", reason="the driver psycopg2 is not installed")


def test_thirty_clients_wait_for_a_lock_at_once(
    run_patched: Callable[..., str], postgresql_port: str
) -> None:
    run_patched(
        """
import sys
import psycopg2.extensions, psycopg2.extras
# Its own example of such a hook waits by `select`, which the patch has made green.
psycopg2.extensions.set_wait_callback(psycopg2.extras.wait_select)

def connect():
    connection = psycopg2.connect(
        host="127.0.0.1", port=sys.argv[1], user="postgres", dbname="postgres"
    )
    connection.autocommit = True
    return connection

def ask(connection, question):
    with connection.cursor() as cursor:
        cursor.execute(question)
        return cursor.fetchone()[0]

admin = connect()
ask(admin, "SELECT pg_advisory_lock(1)")
def client(number):
    connection = connect()
    ask(connection, "SELECT pg_advisory_lock(1)")
    answer = ask(connection, f"SELECT {number}")
    connection.close()
    return answer
waiting = [spawn(client, n) for n in range(30)]
question = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
while ask(admin, question) != 30:
    pass
ask(admin, "SELECT pg_advisory_unlock(1)")
assert [w.wait() for w in waiting] == list(range(30))
admin.close()
""",
        postgresql_port,
    )
