"""Engine: DuckDB, for one search.

Place     logs/store. Blocking; each call may come from another native thread, one at a time.
Promise   memory and threads are bounded. `cancel` ends what runs within some ten milliseconds, from
          any thread, and everything after it. An engine in a box reads the segments it was given
          and nothing else: no other file, no network, no Python variable.

Statements of this room run in one database for all searches, as connections of their own: a
database of its own would cost each of them twenty milliseconds. SQL of a user's has its own, whose
box cannot be opened again.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import duckdb

from verdant.logs.errors import QueryStopped

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    import pyarrow as pa

__all__ = ["Engine", "Engines", "Row", "quoted"]

# Of all searches of a store together, and of one in a box: what sorts or groups more is stopped.
# Answers of the usual size need some fifty megabytes.
MEMORY_LIMIT = "1GB"
BOX_MEMORY_LIMIT = "512MB"
# Two: beyond it searches take the processors from those that collect.
THREADS = 2
# Rows that become Python objects without a pause for the server's own thread.
FETCHED_ROWS = 1000

# Nothing may be spilled to a disk that is for lines, or fetched from anywhere.
_SETTINGS = (
    f"SET threads = {THREADS}; SET temp_directory = ''; SET python_enable_replacements = false;"
    "SET autoinstall_known_extensions = false; SET autoload_known_extensions = false;"
)

Row = tuple[object, ...]


class Engines:
    """Makes the engines of one store."""

    def __init__(self) -> None:
        self._database = duckdb.connect(":memory:")
        # Segments never change, so what was read of their ends once is true for ever.
        self._database.execute(
            f"{_SETTINGS} SET memory_limit = '{MEMORY_LIMIT}'; SET parquet_metadata_cache = true"
        )

    def open(self, unsealed: pa.Table) -> Engine:
        """An engine for statements of this room, over segments and the table `unsealed`."""
        connection = self._database.cursor()
        connection.register("unsealed", unsealed)
        return Engine(connection)

    @staticmethod
    def open_box(paths: Iterable[Path], unsealed: pa.Table, view: str) -> Engine:
        """An engine for SQL of a user's: over the view `lines`, defined as `view`, of `paths`."""
        connection = duckdb.connect(":memory:")
        connection.execute(f"{_SETTINGS} SET memory_limit = '{BOX_MEMORY_LIMIT}'")
        if names := ", ".join(map(quoted, paths)):
            connection.execute(f"SET allowed_paths = [{names}]")
        connection.execute("SET enable_external_access = false")
        connection.register("unsealed", unsealed)
        connection.execute(f"CREATE VIEW lines AS {view}")
        connection.execute("SET lock_configuration = true")
        return Engine(connection)

    def close(self) -> None:
        """Let go of the database; engines that are open go on."""
        self._database.close()


class Engine:
    """One connection. Made by `Engines`."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._lock = threading.Lock()
        # Guarded by _lock.
        self._busy = False
        self._cancelled = False
        self._connection: duckdb.DuckDBPyConnection | None = connection

    def register(self, name: str, table: pa.Table) -> None:
        """Give the engine one more table."""
        if self._connection is not None:
            self._connection.register(name, table)

    def fetch(
        self, statement: str, parameters: Sequence[object], rows_max: int
    ) -> tuple[list[str], list[Row]]:
        """Names of the columns and at most `rows_max` rows. Blocks. Raises `QueryStopped`."""
        with self._lock:
            connection = self._connection
            if self._cancelled or connection is None:
                raise QueryStopped("the search was stopped before its end")
            self._busy = True
        try:
            cursor = connection.execute(statement, list(parameters))
            columns = [str(column[0]) for column in cursor.description or ()]
            rows: list[Row] = []
            while len(rows) < rows_max:
                page = cursor.fetchmany(min(FETCHED_ROWS, rows_max - len(rows)))
                if not page:
                    break
                rows += page
            return columns, rows
        except duckdb.InterruptException as exc:
            raise QueryStopped("the search was stopped before its end") from exc
        except duckdb.OutOfMemoryException as exc:
            raise QueryStopped(
                "the search needs more memory than there is for searches: ask for a shorter time, "
                "or for fewer groups"
            ) from exc
        finally:
            self._rest()

    def cancel(self) -> None:
        """Stop what runs, and let nothing run any more. Does not block."""
        with self._lock:
            self._cancelled = True
            if self._busy and self._connection is not None:
                # Who runs it lets go of the connection: it is not ours to close meanwhile.
                self._connection.interrupt()
            else:
                self._end()

    def _rest(self) -> None:
        with self._lock:
            self._busy = False
            if self._cancelled:
                self._end()

    def _end(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def quoted(path: Path) -> str:
    """A file's name as SQL text. Names that this store made, not a user's."""
    return "'" + str(path).replace("'", "''") + "'"
