"""Ship: lines of a file or of standard input, to a log server's disk.

Place     cli, on the logs room's spool and shipper.
Promise   reading waits while the spool is full, so nothing is dropped here; it ends when every line
          is acknowledged, or after `FLUSH_S_MAX` without that.
"""

from __future__ import annotations

import socket
import time
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

from verdant.core import run_in_worker, sleep
from verdant.logs import Record, Shipper, Spool

if TYPE_CHECKING:
    from verdant.cli.peers import Peers

__all__ = ["Shipped", "ship_lines"]

# After the last line; servers that come back within it still get everything.
FLUSH_S_MAX = 30.0
FULL_WAIT_S = 0.05


@dataclass(frozen=True, slots=True)
class Shipped:
    """How many lines were read, and whether all of them were acknowledged."""

    lines: int
    stored: bool


def ship_lines(file: IO[bytes], app: str, servers: Peers) -> Shipped:
    """Send each line of `file` as a record of `app`. Parks."""
    host = socket.gethostname()
    spool = Spool(f"ship@{host}@{time.time_ns()}")
    shipper = Shipper(spool, servers.endpoints, servers.security)
    shipper.start()
    count = 0
    try:
        while lines := run_in_worker(_read_some, file):
            for line in lines:
                text = line.rstrip(b"\r\n").decode("utf-8", "backslashreplace")
                record = Record(time.time_ns(), app, host, "INFO", text)
                while not spool.has_room(len(line)):
                    sleep(FULL_WAIT_S)
                spool.put(record)
                count += 1
    finally:
        stored = shipper.stop(FLUSH_S_MAX)
    return Shipped(count, stored and not shipper.refused)


def _read_some(file: IO[bytes]) -> list[bytes]:
    # One line at least, so that a slow pipe is shipped as it comes.
    first = file.readline()
    return [first] if first else []
