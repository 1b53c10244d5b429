"""Segment: lines as columns, in memory as Arrow tables, sealed as Parquet files.

Place     logs/store. Blocking.
Promise   a segment's file appears whole or not at all, and is never changed again. Columns are
          made by parsers in C alone: building them from Python objects would stall the server.

    segment-FIRST-LAST.parquet   positions of its first and last line; sorted by app, then time
"""

from __future__ import annotations

import io
import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.json
import pyarrow.parquet

from verdant.logs.codec import decompress
from verdant.logs.errors import BadBatch

if TYPE_CHECKING:
    from pathlib import Path

    from verdant.logs.store.wal import WalEntry

__all__ = ["COLUMNS", "Segment", "find_segments", "sync_directory", "table_of", "write_segment"]

_LINE = pa.schema(
    [
        ("t", pa.int64()),
        ("app", pa.string()),
        ("host", pa.string()),
        ("level", pa.string()),
        ("msg", pa.string()),
        ("fields", pa.string()),
    ]
)

COLUMNS = (
    "t",
    "received",
    "app",
    "host",
    "level",
    "msg",
    "fields",
    "client",
    "epoch",
    "seq",
    "idx",
    "pos",
)

_name = re.compile(r"segment-([0-9]{20})-([0-9]{20})\.parquet").fullmatch


@dataclass(frozen=True, slots=True)
class Segment:
    """A sealed file: positions `first` to `last`, times `t_min` to `t_max`."""

    path: Path
    first: int
    last: int
    t_min: int
    t_max: int
    bytes: int


def table_of(entry: WalEntry) -> pa.Table:
    """The columns of a batch. Raises `BadBatch` when its lines are not what it says. Blocks."""
    batch = entry.batch
    lines = decompress(batch.body)
    try:
        table = pyarrow.json.read_json(
            io.BytesIO(lines),
            read_options=pyarrow.json.ReadOptions(use_threads=False, block_size=len(lines) + 1),
            parse_options=pyarrow.json.ParseOptions(
                explicit_schema=_LINE, unexpected_field_behavior="error"
            ),
        )
    except pa.ArrowInvalid as exc:
        raise BadBatch(f"the batch's lines cannot be read ({exc})") from exc
    count = table.num_rows
    if count != batch.lines or any(column.null_count for column in table.columns):
        raise BadBatch(f"the batch has not the {batch.lines} whole lines that it announces")
    constant = {
        "received": pa.scalar(entry.received_ns, pa.int64()),
        "client": pa.scalar(batch.id.client, pa.string()),
        "epoch": pa.scalar(batch.id.epoch, pa.int64()),
        "seq": pa.scalar(batch.id.seq, pa.int64()),
    }
    for name, value in constant.items():
        table = table.append_column(name, pa.repeat(value, count))
    table = table.append_column("idx", pa.array(range(count), pa.int64()))
    position = entry.position
    table = table.append_column("pos", pa.array(range(position, position + count), pa.int64()))
    return table.select(COLUMNS)


def write_segment(directory: Path, table: pa.Table) -> Segment:
    """Seal `table` as a file in `directory`. Blocks. Raises OSError."""
    ordered = table.sort_by([("app", "ascending"), ("t", "ascending"), ("pos", "ascending")])
    positions = pa.compute.min_max(table["pos"]).as_py()
    path = directory / f"segment-{positions['min']:020d}-{positions['max']:020d}.parquet"
    temporary = path.with_suffix(".tmp")
    with temporary.open("wb") as file:
        pyarrow.parquet.write_table(
            ordered, file, compression="zstd", use_dictionary=["app", "host", "level", "client"]
        )
        file.flush()
        os.fsync(file.fileno())
    temporary.rename(path)
    sync_directory(directory)
    return _describe(path, positions["min"], positions["max"])


def sync_directory(directory: Path) -> None:
    """Make renames and unlinks in `directory` durable. Blocks."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def find_segments(directory: Path) -> list[Segment]:
    """The sealed segments in `directory`, oldest first. Reads footers only. Blocks."""
    found = []
    for path in sorted(directory.iterdir()):
        match = _name(path.name)
        if match is not None:
            found.append(_describe(path, int(match[1]), int(match[2])))
    return found


def _describe(path: Path, first: int, last: int) -> Segment:
    metadata = pyarrow.parquet.read_metadata(path)
    times: list[int] = []
    for group in range(metadata.num_row_groups):
        statistics = metadata.row_group(group).column(COLUMNS.index("t")).statistics
        times += [statistics.min, statistics.max]
    return Segment(path, first, last, min(times), max(times), path.stat().st_size)
