"""Access lines: one per request, for those who ask for them.

Place     wsgi; handler.py notes entries, serving.py makes lines of them.
Not here  where lines go (the caller's function, logger or file).
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["LINE_FORMAT", "AccessEntry", "access_line", "line_sink"]

# Eventlet's own names and order, so that whoever reads such lines can go on.
LINE_FORMAT = (
    "%(client_ip)s - - [%(date_time)s] "
    '"%(request_line)s" %(status_code)s %(body_length)s %(wall_seconds).6f'
)


class AccessEntry(NamedTuple):
    """One request and its answer. at_s: wall-clock time of its end; bytes_sent: with the head."""

    client: str
    at_s: float
    method: str
    target: str
    protocol: str
    status: int
    bytes_sent: int
    seconds: float


def access_line(entry: AccessEntry, line_format: str = LINE_FORMAT) -> str:
    """The entry as a line. A quotation mark in the target is escaped, line ends cannot be there."""
    target = entry.target.replace('"', "%22")
    return line_format % {
        "client_ip": entry.client,
        "date_time": time.strftime("%d/%b/%Y %H:%M:%S", time.localtime(entry.at_s)),
        "request_line": f"{entry.method} {target} {entry.protocol}",
        "status_code": entry.status,
        "body_length": entry.bytes_sent,
        "wall_seconds": entry.seconds,
    }


def line_sink(
    log: object, line_format: str = LINE_FORMAT
) -> Callable[[AccessEntry], object] | None:
    """What to do with an entry for `log`, which serving.py describes. Raises TypeError."""
    if log is None or log is False:
        return None
    if isinstance(log, logging.Logger | logging.LoggerAdapter):
        logger = log
        return lambda entry: logger.info("%s", access_line(entry, line_format))
    write: Callable[[str], object] | None = getattr(log, "write", None)
    if write is not None:
        return lambda entry: write(access_line(entry, line_format) + "\n")
    if callable(log):
        take: Callable[[str], object] = log
        return lambda entry: take(access_line(entry, line_format))
    raise TypeError(f"log must be a function, a logger or a file, not {type(log).__name__}")
