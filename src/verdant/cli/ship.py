"""Ship: lines of standard input or of files, to a log server's disk.

Place     cli, on the logs room's spools, tail and shipper.
Promise   reading waits while the spool is full, so nothing is dropped here. What has an end ends
          when every line is acknowledged, or after `FLUSH_S_MAX` without that; what is followed
          ends at a signal, and goes on at the next start where it was.
"""

from __future__ import annotations

import socket
import time
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

import click

from verdant.cli.serving import wait_for_signal
from verdant.core import run_in_worker, sleep, spawn
from verdant.errors import VerdantError
from verdant.logs import DiskSpool, Record, Shipper, Spool, Tail, parse_multiline

if TYPE_CHECKING:
    from collections.abc import Callable

    from verdant.cli.following import Following
    from verdant.cli.peers import Peers

__all__ = ["Shipped", "follow_files", "ship_files", "ship_lines"]

# After the last line; servers that come back within it still get everything.
FLUSH_S_MAX = 30.0
FULL_WAIT_S = 0.05
# What lines under way get at a signal; the others are sent at the next start.
FOLLOW_FLUSH_S = 2.0


@dataclass(frozen=True, slots=True)
class Shipped:
    """How many lines were read, and whether all of them were acknowledged."""

    lines: int
    stored: bool


def follow_files(wanted: Following, servers: Peers, ready: Callable[[], object]) -> None:
    """Ship files as they grow, until SIGTERM or SIGINT. Parks. Raises `SpoolUnusable`."""
    rule = parse_multiline(wanted.multiline)
    client = f"ship@{socket.gethostname()}@{time.time_ns()}"
    spool = DiskSpool(wanted.spool, client, wanted.spool_bytes_max)
    tail = Tail(
        spool,
        wanted.files,
        wanted.app,
        format=wanted.format,
        rule=rule,
        at_end=wanted.at_end,
    )
    shipper = Shipper(spool, servers.endpoints, servers.security, copies=wanted.copies)
    shipper.start()
    reading = spawn(tail.run, name="tail")
    try:
        wait_for_signal(ready)
    finally:
        reading.cancel()
        reading.join()
        tail.close()
        shipper.stop(FOLLOW_FLUSH_S)
        run_in_worker(spool.close)


def ship_files(wanted: Following, servers: Peers) -> int:
    """Ship files, or standard input, to their end; how many lines that were. Parks.

    Raises `VerdantError` when not all of them were acknowledged in time.
    """
    total = 0
    for name in wanted.files or ("-",):
        with click.open_file(name, "rb") as file:
            counts = ship_lines(file, wanted.app, servers, wanted.copies)
        total += counts.lines
        if not counts.stored:
            raise VerdantError(
                f"{counts.lines} lines were read and no log server acknowledged all of them in "
                "time: is one running (`verdant up`), and does it take us with the key that we "
                "show?"
            )
    return total


def ship_lines(file: IO[bytes], app: str, servers: Peers, copies: int = 1) -> Shipped:
    """Send each line of `file` as a record of `app`. Parks."""
    host = socket.gethostname()
    spool = Spool(f"ship@{host}@{time.time_ns()}")
    shipper = Shipper(spool, servers.endpoints, servers.security, copies=copies)
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
