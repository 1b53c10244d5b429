"""What does the log store cost per line, and how fast does it find?

Question  lines stored per second (each batch of 10,000 durable before the next), bytes on disk per
          line, and how long six usual questions take: the last 100 lines of an app, a rare text
          over everything (every segment has one), one that is nowhere, a pattern over an hour of
          one app, lines per minute and level, and a 99th percentile by app.
Method    the lines of loglines.py (seeded), 200,000 unless told otherwise (`--lines 2000000`). The
          store is the server's own, sealed and looked after as it is in service; the last lines
          stay in its tail. Beside it SQLite: WAL, synchronous=FULL, a transaction per batch,
          indexes on (app, t) and (t). And grep on a flat file, which need not be durable or
          indexed. Each question five times in turn, after a first one that warms the page cache;
          the median counts, and each answer's count must be the same for all.
Changes our mind  SQLite that stores faster and finds as fast; a rare text slower than grep, from a
          million lines on; more than 60 bytes per line.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from loglines import NEEDLE, START_NS, Line, make_lines

from verdant.logs import LogServerConfig, Record
from verdant.logs.codec import Batch, BatchId, compress
from verdant.logs.query import make_plan
from verdant.logs.record import encode_line
from verdant.logs.store import Search, Store, keep_house

if TYPE_CHECKING:
    from collections.abc import Callable

BATCH_LINES = 10_000
ROUNDS = 5
# What nobody has logged: the question of most searches for a customer's number.
ABSENT = "order 4711-0815 refunded"
HOUR_NS = 3600 * 10**9
PATTERN = r"job [0-9a-f]+ goes back"
# One of the middle of the day.
FROM_S = START_NS // 10**9 + 12 * 3600


def encode(lines: list[Line], seq: int) -> Batch:
    body = b"".join(
        encode_line(Record(each.t, each.app, each.host, each.level, each.message, each.fields))
        for each in lines
    )
    return Batch(BatchId("bench", 1, seq), len(lines), compress(body))


def bytes_in(directory: Path) -> int:
    return sum(path.stat().st_size for path in directory.iterdir())


class OfVerdant:
    """The log server's store."""

    name = "verdant"

    def __init__(self, directory: Path) -> None:
        directory.mkdir()
        self._directory = directory
        nowhere = "tcp://127.0.0.1:*"
        self._config = LogServerConfig(
            name="x", collect=nowhere, pull=nowhere, query=nowhere, data_dir=str(directory)
        )
        self._store = Store(directory)
        self._seq = 0

    def prepare(self, lines: list[Line]) -> object:
        self._seq += 1
        return encode(lines, self._seq)

    def store(self, batch: object) -> None:
        assert isinstance(batch, Batch)
        ((status, detail),) = self._store.append([batch])
        assert status == "stored", detail
        if self._store.wants_sealing():
            keep_house(self._store, self._config)

    def finish(self) -> int:
        self._store.seal()
        keep_house(self._store, self._config)
        return bytes_in(self._directory)

    def ask(self, text: str) -> int:
        search = Search(self._store)
        try:
            plan = make_plan(text, 0, limit=50_000)
            if plan.grouping is not None:
                return len(search.groups(plan))
            return sum(len(page.rows) for page in search.lines(plan))
        finally:
            search.close()

    def questions(self) -> dict[str, Callable[[], int]]:
        return {
            "last 100 of an app": lambda: self.ask("app=web limit=100"),
            "rare text, all": lambda: self.ask(f'"{NEEDLE}"'),
            "absent text, all": lambda: self.ask(f'"{ABSENT}"'),
            "pattern, 1 h of 1 app": lambda: self.ask(
                f"app=web time={FROM_S}..{FROM_S + 3600} /{PATTERN}/"
            ),
            "per minute and level": lambda: self.ask("| count by 1m, level"),
            "p99 by app": lambda: len({key for key, *_ in self.groups("| p99 duration_us by app")}),
        }

    def groups(self, text: str) -> list[tuple[object, ...]]:
        search = Search(self._store)
        try:
            return [row for row in search.groups(make_plan(text, 0)) if row[1] is not None]
        finally:
            search.close()


class OfSqlite:
    """A table with two indexes."""

    name = "sqlite"

    def __init__(self, directory: Path) -> None:
        directory.mkdir()
        self._directory = directory
        self._connection = sqlite3.connect(directory / "lines.db")
        self._connection.executescript(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
            "CREATE TABLE line (t INTEGER, app TEXT, host TEXT, level TEXT, msg TEXT, fields TEXT);"
            "CREATE INDEX by_app ON line (app, t); CREATE INDEX by_time ON line (t)"
        )
        pattern = re.compile(PATTERN)
        self._connection.create_function(
            "regexp", 2, lambda _, text: pattern.search(text) is not None, deterministic=True
        )

    def prepare(self, lines: list[Line]) -> object:
        return [(*line[:5], json.dumps(line.fields)) for line in lines]

    def store(self, batch: object) -> None:
        with self._connection:
            self._connection.executemany("INSERT INTO line VALUES (?, ?, ?, ?, ?, ?)", batch)  # type: ignore[arg-type]

    def finish(self) -> int:
        self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        return bytes_in(self._directory)

    def ask(self, statement: str, *parameters: object) -> int:
        return len(self._connection.execute(statement, parameters).fetchall())

    def questions(self) -> dict[str, Callable[[], int]]:
        since = FROM_S * 10**9
        return {
            "last 100 of an app": lambda: self.ask(
                "SELECT * FROM line WHERE app = 'web' ORDER BY t DESC LIMIT 100"
            ),
            "rare text, all": lambda: self.ask(
                "SELECT * FROM line WHERE msg LIKE ? ORDER BY t DESC", f"%{NEEDLE}%"
            ),
            "absent text, all": lambda: self.ask(
                "SELECT * FROM line WHERE msg LIKE ? ORDER BY t DESC", f"%{ABSENT}%"
            ),
            "pattern, 1 h of 1 app": lambda: self.ask(
                "SELECT * FROM line WHERE app = 'web' AND t >= ? AND t < ? AND msg REGEXP ''",
                since, since + HOUR_NS,
            ),
            "per minute and level": lambda: self.ask(
                "SELECT t / 60000000000, level, count(*) FROM line GROUP BY 1, 2"
            ),
            # Per app the one that stands at 99 % of them, by a window over all.
            "p99 by app": lambda: self.ask(
                "SELECT app, min(d) FROM (SELECT app, d, percent_rank() OVER "
                "(PARTITION BY app ORDER BY d) AS r FROM (SELECT app, "
                "fields ->> 'duration_us' AS d FROM line) WHERE d IS NOT NULL) "
                "WHERE r >= 0.99 GROUP BY app"
            ),
        }  # fmt: skip


class OfGrep:
    """A flat file."""

    name = "grep"

    def __init__(self, directory: Path) -> None:
        directory.mkdir()
        self._path = directory / "lines.log"
        self._file = self._path.open("w")

    def prepare(self, lines: list[Line]) -> object:
        return "".join(
            f"{each.t} {each.app} {each.host} {each.level} {each.message} "
            f"{json.dumps(each.fields)}\n"
            for each in lines
        )

    def store(self, batch: object) -> None:
        self._file.write(str(batch))
        self._file.flush()
        os.fdatasync(self._file.fileno())

    def finish(self) -> int:
        self._file.close()
        return self._path.stat().st_size

    def shell(self, command: str) -> int:
        done = subprocess.run(
            ["sh", "-c", command], stdout=subprocess.PIPE, check=True,
            env={**os.environ, "LC_ALL": "C", "FILE": str(self._path)},
        )  # fmt: skip
        return done.stdout.count(b"\n")

    def questions(self) -> dict[str, Callable[[], int]]:
        hour = f"awk '$1 >= {FROM_S * 10**9} && $1 < {(FROM_S + 3600) * 10**9}'"
        return {
            "last 100 of an app": lambda: self.shell(
                "tac \"$FILE\" | grep -m 100 -E '^[0-9]+ web '"
            ),
            "rare text, all": lambda: self.shell(f"grep -iF '{NEEDLE}' \"$FILE\""),
            "absent text, all": lambda: self.shell(f"grep -iF '{ABSENT}' \"$FILE\" || true"),
            "pattern, 1 h of 1 app": lambda: self.shell(
                f"grep -E '^[0-9]+ web .*{PATTERN}' \"$FILE\" | {hour}"
            ),
        }


Candidate = OfVerdant | OfSqlite | OfGrep


def measure(count: int, directory: Path) -> dict[str, dict[str, float]]:
    candidates: list[Candidate] = [
        OfVerdant(directory / "verdant"), OfSqlite(directory / "sqlite"), OfGrep(directory / "flat")
    ]  # fmt: skip
    figures: dict[str, dict[str, float]] = {each.name: {} for each in candidates}
    spent = dict.fromkeys(figures, 0.0)
    lines: list[Line] = []
    text_bytes = 0
    for number, line in enumerate(make_lines(count), 1):
        lines.append(line)
        text_bytes += len(line.message)
        if len(lines) == BATCH_LINES or number == count:
            for candidate in candidates:
                batch = candidate.prepare(lines)
                before = time.perf_counter()
                candidate.store(batch)
                spent[candidate.name] += time.perf_counter() - before
            lines = []
            print(f"\r{number} lines …", end="", file=sys.stderr)
    print(f"\n{text_bytes / count:.0f} bytes of message per line", file=sys.stderr)
    for candidate in candidates:
        before = time.perf_counter()
        size = candidate.finish()
        seconds = spent[candidate.name] + time.perf_counter() - before
        figures[candidate.name]["lines/s stored"] = count / seconds
        figures[candidate.name]["bytes/line"] = size / count
    _ask_all(candidates, figures)
    return figures


def _ask_all(candidates: list[Candidate], figures: dict[str, dict[str, float]]) -> None:
    times: dict[tuple[str, str], list[float]] = {}
    counts: dict[str, set[int]] = {}
    for turn in range(ROUNDS + 1):
        for candidate in candidates:
            for question, ask in candidate.questions().items():
                before = time.perf_counter()
                found = ask()
                took_ms = (time.perf_counter() - before) * 1000
                counts.setdefault(question, set()).add(found)
                if turn:
                    times.setdefault((candidate.name, question), []).append(took_ms)
    for question, found_counts in counts.items():
        if len(found_counts) != 1:
            raise SystemExit(f"{question}: the answers differ: {sorted(found_counts)} rows")
    for (name, question), taken in times.items():
        figures[name][f"{question}, ms"] = statistics.median(taken)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lines", type=int, default=200_000)
    parser.add_argument("--directory", help="on the disk that is to be measured")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.directory) as directory:
        figures = measure(arguments.lines, Path(directory))
    rows = list(dict.fromkeys(name for found in figures.values() for name in found))
    print(f"\n{arguments.lines} lines\n\n{'':<28}" + "".join(f"{name:>12}" for name in figures))
    for row in rows:
        cells = [
            f"{found[row]:>12.1f}" if row in found else f"{'-':>12}" for found in figures.values()
        ]
        print(f"{row:<28}" + "".join(cells))
    print()
    print(
        json.dumps(
            {
                "question": "what does the log store cost, and how fast does it find",
                "python": platform.python_version(),
                "cpus": os.cpu_count(),
                "lines": arguments.lines,
                "figures": {
                    name: {row: round(value, 1) for row, value in found.items()}
                    for name, found in figures.items()
                },
            }
        )
    )


if __name__ == "__main__":
    main()
