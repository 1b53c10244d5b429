"""Loglines: lines as programs write them, the same for the same seed.

Twenty apps, as busy as Zipf says (the first has a quarter of all lines), over one day. Four in ten
lines are of an access log, the others of an application: templates with numbers, names, addresses
and, now and then, an error. The mean is some 115 bytes of text. One line in 50,000 has NEEDLE.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

APPS = [
    *("web", "api", "auth", "billing", "search", "mail", "cron", "images", "cart", "feed"),
    *("chat", "push", "audit", "export", "import", "geo", "ads", "wiki", "forum", "status"),
]
NEEDLE = "certificate pinning mismatch"
DAY_NS = 86_400 * 10**9
START_NS = 1_764_000_000 * 10**9

_PATHS = ["/", "/login", "/cart", "/api/v1/items", "/api/v1/users", "/static/app.js", "/search"]
_USERS = ["ada", "grace", "alan", "edsger", "barbara", "donald", "leslie", "tony"]
_AGENTS = [
    "Mozilla/5.0 (X11; Linux x86_64)",
    "curl/8.5.0",
    "python-requests/2.32",
    "kube-probe/1.30",
]


class Line(NamedTuple):
    """One line: nanoseconds since 1970, and what stands in it."""

    t: int
    app: str
    host: str
    level: str
    message: str
    fields: dict[str, object]


def make_lines(count: int, seed: int = 7) -> Iterator[Line]:
    """`count` lines in the order of time."""
    source = random.Random(seed)
    weights = [1 / rank for rank in range(1, len(APPS) + 1)]
    step_ns = DAY_NS // count
    for number in range(count):
        t = START_NS + number * step_ns + source.randrange(step_ns)
        app = source.choices(APPS, weights)[0]
        host = f"{app}-{source.randrange(4)}"
        if number % 50_000 == 25_000:
            message = f"TLS handshake with {_address(source)} failed: {NEEDLE} (depth {number % 3})"
            yield Line(t, app, host, "ERROR", message, {})
        elif source.random() < 0.4:
            yield _access(source, t, app, host)
        else:
            yield _application(source, t, app, host)


def _access(source: random.Random, t: int, app: str, host: str) -> Line:
    status = source.choices([200, 304, 404, 500, 502], [80, 9, 8, 2, 1])[0]
    duration_us = int(source.lognormvariate(9, 1))
    path = source.choice(_PATHS)
    message = (
        f'{_address(source)} - "GET {path}?id={source.randrange(10**6)} HTTP/1.1" {status} '
        f'{source.randrange(200, 90_000)} "https://www.example.com/shop/index.html" '
        f'"{source.choice(_AGENTS)}"'
    )
    level = "ERROR" if status >= 500 else "INFO"
    return Line(t, app, host, level, message, {"status": status, "duration_us": duration_us})


def _application(source: random.Random, t: int, app: str, host: str) -> Line:
    kind = source.random()
    user = source.choice(_USERS)
    job = f"{source.getrandbits(64):016x}"
    if kind < 0.02:
        message = (
            f"worker {source.randrange(64)}: connection to db-{source.randrange(8)}.internal:5432 "
            f"timed out after {source.randrange(1000, 30_000)} ms, job {job} goes back to the queue"
        )
        return Line(t, app, host, "ERROR", message, {"job": job})
    if kind < 0.08:
        message = (
            f"slow query ({source.randrange(500, 9000)} ms) SELECT * FROM orders WHERE user_id = "
            f"{source.randrange(10**7)} ORDER BY created DESC LIMIT 50"
        )
        return Line(t, app, host, "WARNING", message, {"user": user})
    if kind < 0.5:
        message = (
            f"job {job} of {user} done in {source.randrange(5, 4000)} ms: "
            f"{source.randrange(1, 500)} items, {source.randrange(0, 9)} retries, "
            f"next run in {source.randrange(10, 3600)} s on worker {source.randrange(64)} of pool "
            "default"
        )
        return Line(t, app, host, "INFO", message, {"user": user, "job": job})
    message = (
        f"cache {'hit' if source.random() < 0.8 else 'miss'} for key session:{job}:{user} in "
        f"region eu-west-{source.randrange(4)}: ttl={source.randrange(3600)} "
        f"size={source.randrange(64, 9000)} shard={source.randrange(16)} origin=memcached"
    )
    return Line(t, app, host, "DEBUG", message, {})


def _address(source: random.Random) -> str:
    return f"10.{source.randrange(256)}.{source.randrange(256)}.{source.randrange(256)}"
