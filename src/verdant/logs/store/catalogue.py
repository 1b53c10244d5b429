"""Catalogue: what is known of each segment, so that a start need not read them all.

Place     logs/store. Blocking.
Promise   a copy of what the segments say: lost, stale or damaged, it is made again from them. A
          disk that takes no writes costs the copy, never the store.

Why SQLite and not a file of our own: one segment comes or goes at a time, and a catalogue of ten
thousand would be written whole each time.
"""

from __future__ import annotations

import contextlib
import logging
import sqlite3
from typing import TYPE_CHECKING

import msgspec

from verdant.logs.store.segment import AppShare, Segment

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

__all__ = ["Catalogue"]

FILE_NAME = "catalogue.sqlite"
# Raised when a row means something else than before: then all are made again.
VERSION = 1

_log = logging.getLogger("verdant.logs")

_SCHEMA = """
CREATE TABLE IF NOT EXISTS segment (
    name TEXT PRIMARY KEY, first INTEGER, last INTEGER, generation INTEGER, lines INTEGER,
    bytes INTEGER, t_min INTEGER, t_max INTEGER, received_max INTEGER, shares TEXT, batches TEXT
) WITHOUT ROWID
"""

_Shares = dict[str, tuple[int, int, int]]
_Batches = list[tuple[str, int, int, int]]


class Catalogue:
    """The catalogue in `directory`. Safe to call from one native thread at a time."""

    def __init__(self, directory: Path, *, read_only: bool = False) -> None:
        self._directory = directory
        self._path = directory / FILE_NAME
        self._read_only = read_only
        self._failed = False

    def load(self) -> dict[str, Segment]:
        """What is known, by file name; nothing when the catalogue cannot be read. Blocks."""
        try:
            with contextlib.closing(self._connect()) as connection:
                rows = connection.execute("SELECT * FROM segment").fetchall()
            return {row[0]: self._segment(row) for row in rows}
        except (sqlite3.Error, msgspec.DecodeError, ValueError) as exc:
            if not self._read_only:
                _log.warning("%s is of no use (%s): it is made again", self._path, exc)
                self.forget()
            return {}

    def forget(self) -> None:
        """Drop all that is known. Blocks."""
        with contextlib.suppress(OSError):
            self._path.unlink(missing_ok=True)

    def replace(self, gone: Iterable[Segment], come: Iterable[Segment]) -> None:
        """Forget `gone` and note `come`, together. Blocks. Never raises for the disk's sake."""
        try:
            with contextlib.closing(self._connect()) as connection, connection:
                for segment in gone:
                    connection.execute("DELETE FROM segment WHERE name = ?", (segment.path.name,))
                for segment in come:
                    connection.execute(
                        f"INSERT OR REPLACE INTO segment VALUES ({', '.join('?' * 11)})",
                        self._row(segment),
                    )
            self._failed = False
        except sqlite3.Error as exc:
            if not self._failed:
                _log.warning(
                    "%s cannot be written (%s): the next start reads more", self._path, exc
                )
            self._failed = True

    def _connect(self) -> sqlite3.Connection:
        if self._read_only:
            return sqlite3.connect(f"{self._path.absolute().as_uri()}?mode=ro", uri=True)
        connection = sqlite3.connect(self._path, timeout=5.0)
        try:
            # It is a copy: what a power cut loses of it is read from the segments again.
            connection.execute("PRAGMA synchronous = OFF")
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            if version not in (0, VERSION):
                connection.execute("DROP TABLE IF EXISTS segment")
            connection.execute(_SCHEMA)
            connection.execute(f"PRAGMA user_version = {VERSION}")
        except BaseException:
            connection.close()
            raise
        return connection

    def _segment(self, row: tuple[object, ...]) -> Segment:
        name, *numbers, shares, batches = row
        return Segment(
            self._directory / str(name),
            *msgspec.convert(numbers, tuple[int, int, int, int, int, int, int, int]),
            {
                app: AppShare(*share)
                for app, share in msgspec.json.decode(str(shares), type=_Shares).items()
            },
            tuple(msgspec.json.decode(str(batches), type=_Batches)),
        )

    @staticmethod
    def _row(segment: Segment) -> tuple[object, ...]:
        shares = {
            app: (share.lines, share.t_min, share.t_max) for app, share in segment.shares.items()
        }
        return (
            segment.path.name, segment.first, segment.last, segment.generation, segment.lines,
            segment.bytes, segment.t_min, segment.t_max, segment.received_max,
            msgspec.json.encode(shares).decode(), msgspec.json.encode(segment.batches).decode(),
        )  # fmt: skip
