"""Rows: which of CPython's test modules are run, and what is asked of each.

Place     tests/stdlib; runner.py runs a row, __main__.py prints one line for it. Pure.
Not here  single tests that fail (known.toml).

The peers' figures were measured on CPython 3.11 with eventlet 0.41 and gevent 26.9: tests passed,
of those that pass unpatched. `floor` is the better of the two.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["ROWS", "ROWS_AT_ONCE", "TELLING", "TOTAL_MIN", "Row"]


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table: its modules, and what passed on 3.11 without a patch and with two."""

    name: str
    modules: tuple[str, ...]
    unpatched: int
    eventlet: int
    gevent: int

    @property
    def floor(self) -> int:
        """What must pass at least on CPython 3.11."""
        return max(self.eventlet, self.gevent)

    @property
    def losses_max(self) -> int:
        """How many of those that pass unpatched the better of the two loses on CPython 3.11."""
        return self.unpatched - self.floor


def _row(figures: tuple[int, int, int], name: str, *modules: str) -> Row:
    return Row(name, tuple(f"test.test_{module}" for module in modules or (name,)), *figures)


ROWS: tuple[Row, ...] = (
    _row((612, 237, 590), "socket"),
    _row((167, 151, 161), "ssl"),
    _row((195, 168, 161), "threading"),
    _row((24, 20, 19), "thread"),
    _row((21, 19, 21), "threading_local"),
    _row((54, 51, 51), "queue"),
    _row((287, 163, 263), "subprocess"),
    _row((76, 28, 55), "selectors"),
    _row((6, 3, 5), "select"),
    _row((6, 0, 2), "poll"),
    _row((10, 0, 0), "epoll"),
    _row((51, 49, 49), "signal"),
    _row((27, 26, 26), "socketserver"),
    _row((8, 8, 8), "timeout"),
    _row((112, 112, 112), "httplib"),
    _row((62, 62, 62), "httpservers"),
    _row((23, 22, 23), "urllib2_localnet"),
    _row((84, 84, 84), "xmlrpc"),
    _row((35, 34, 34), "wsgiref"),
    _row((93, 93, 93), "ftplib"),
    _row((235, 235, 235), "smtplib+smtpd", "smtplib", "smtpd"),
    _row((181, 181, 181), "poplib+imaplib+telnetlib", "poplib", "imaplib", "telnetlib"),
    _row((93, 50, 91), "asyncore"),
    _row((218, 218, 215), "logging"),
    _row((42, 42, 42), "context"),
    _row((253, 102, 178), "asyncio.events", "asyncio.test_events"),
    _row((67, 67, 67), "asyncio.streams", "asyncio.test_streams"),
    _row((119, 116, 119), "asyncio.subprocess", "asyncio.test_subprocess"),
    _row((6, 6, 6), "asyncio.threads", "asyncio.test_threads"),
)

# Of the 3,167 that pass unpatched, with all rows run.
TOTAL_MIN = 3050

# Rows run side by side: two cores are what a small machine has, and most tests wait.
ROWS_AT_ONCE = 3

# Those that say the most in the least time: `make test` runs them.
TELLING = (
    "socket",
    "ssl",
    "threading",
    "thread",
    "queue",
    "subprocess",
    "selectors",
    "select",
    "poll",
    "epoll",
)
