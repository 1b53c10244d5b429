"""redis-py under the patch, against a real Redis.

The server itself says how many clients wait in it: no clock is asked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

pytest.importorskip("redis", reason="the driver redis is not installed")

CLIENTS = """
import sys
import redis
port = int(sys.argv[1])
# The driver gives up a read after five seconds unless told otherwise.
options = {"host": "127.0.0.1", "port": port, "decode_responses": True, "socket_timeout": None}
connect = lambda: redis.Redis(**options)

def until_blocked(count):
    while admin.info("clients")["blocked_clients"] != count:
        pass

admin = connect()
admin.flushall()
"""


def test_fifty_clients_wait_at_once(run_patched: Callable[..., str], redis_port: str) -> None:
    run_patched(
        CLIENTS
        + """
shared = connect()
waiting = [spawn(shared.blpop, f"list-{n}") for n in range(50)]
until_blocked(50)
for n in reversed(range(50)):
    admin.rpush(f"list-{n}", n)
assert [w.wait() for w in waiting] == [(f"list-{n}", str(n)) for n in range(50)]
shared.close()
admin.close()
""",
        redis_port,
    )


def test_a_queue_of_jobs_is_served_once_each(
    run_patched: Callable[..., str], redis_port: str
) -> None:
    run_patched(
        CLIENTS
        + """
shared = connect()
def worker():
    done = []
    while (job := shared.blpop("jobs")[1]) != "end":
        done.append(int(job))
    return done
workers = [spawn(worker) for _ in range(5)]
until_blocked(5)
with admin.pipeline() as pipe:
    for n in range(200):
        pipe.rpush("jobs", n)
    pipe.execute()
admin.rpush("jobs", *["end"] * 5)
done = [w.wait() for w in workers]
assert sorted(sum(done, [])) == list(range(200))
shared.close()
admin.close()
""",
        redis_port,
    )


def test_publish_and_subscribe(run_patched: Callable[..., str], redis_port: str) -> None:
    run_patched(
        CLIENTS
        + """
import itertools, threading
ready = threading.Barrier(11)
def listen(number):
    with connect() as client, client.pubsub() as channel:
        channel.subscribe("news")
        assert channel.get_message(timeout=60)["type"] == "subscribe"
        ready.wait()
        return [message["data"] for message in itertools.islice(channel.listen(), 3)]
listening = [spawn(listen, n) for n in range(10)]
ready.wait()
for text in ("one", "two", "three"):
    assert admin.publish("news", text) == 10
assert [l.wait() for l in listening] == [["one", "two", "three"]] * 10
admin.close()
""",
        redis_port,
    )


def test_a_timeout_ends_a_wait_and_the_pool_goes_on(
    run_patched: Callable[..., str], redis_port: str
) -> None:
    run_patched(
        CLIENTS
        + """
shared = connect()
try:
    with Timeout(0.02):
        shared.blpop("nothing")
except Timeout:
    pass
else:
    raise AssertionError("nothing was pushed")
# The connection that waited is not lent again with an answer still to come.
until_blocked(0)
admin.rpush("nothing", "late")
assert shared.blpop("nothing") == ("nothing", "late")
# The driver's own timeout.
hasty = redis.Redis(host="127.0.0.1", port=port, socket_timeout=0.02, retry=None)
try:
    hasty.blpop("nothing")
except redis.TimeoutError:
    pass
else:
    raise AssertionError("nothing was pushed")
for client in (shared, hasty, admin):
    client.close()
""",
        redis_port,
    )


def test_a_bounded_pool_of_connections(run_patched: Callable[..., str], redis_port: str) -> None:
    run_patched(
        CLIENTS
        + """
pool = redis.BlockingConnectionPool(max_connections=3, timeout=None, **options)
shared = redis.Redis(connection_pool=pool)
waiting = [spawn(shared.blpop, "shared") for n in range(10)]
for n in range(10):
    # The rest waits for a connection, in this process.
    until_blocked(min(3, 10 - n))
    admin.rpush("shared", n)
assert sorted(int(w.wait()[1]) for w in waiting) == list(range(10))
pool.disconnect()
admin.close()
""",
        redis_port,
    )
