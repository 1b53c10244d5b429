"""Transfer: whole segments out of a store, and their lines as batches into another.

Place     logs/store. Blocking.
Promise   a copy is the segment, byte for byte: any tool that reads Parquet reads it. Batches that
          are made of it have the identities that they had, so that importing twice, or into a
          server that has a part of it, stores nothing twice.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pyarrow as pa
import pyarrow.parquet

from verdant.logs.codec import BATCH_LINES_MAX, Batch, BatchId, compress
from verdant.logs.errors import BadBatch
from verdant.logs.store.columns import SCHEMA
from verdant.logs.store.segment import find_paths

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["export_segments", "read_batches"]

_encode = msgspec.json.Encoder().encode


def export_segments(
    directory: str | Path,
    target: str | Path,
    progress: Callable[[int, int], object] = lambda done, total: None,
) -> list[Path]:
    """Copy the sealed segments of the store in `directory` into the directory `target`. Blocks.

    On the same disk a copy costs no bytes. Lines that are not sealed yet are not among them.
    Raises OSError.
    """
    target = Path(target)
    target.mkdir(parents=True, exist_ok=True)
    paths = list(find_paths(Path(directory))[0])
    copies = []
    for done, path in enumerate(paths):
        progress(done, len(paths))
        copy = target / path.name
        if not copy.exists():
            try:
                os.link(path, copy)
            except FileNotFoundError:
                # Merged meanwhile; what it became has a name of its own.
                continue
            except OSError:
                shutil.copy2(path, copy)
        copies.append(copy)
    progress(len(paths), len(paths))
    return copies


def read_batches(path: str | Path) -> Iterator[Batch]:
    """The batches in a Parquet file that `export_segments` made, with their identities. Blocks.

    Raises `BadBatch` for a file with other columns, OSError or pyarrow.ArrowException for one that
    cannot be read.
    """
    table = pyarrow.parquet.read_table(path)
    if not set(SCHEMA.names) <= set(table.column_names):
        raise BadBatch(f"{path} has not the columns of a segment: {', '.join(SCHEMA.names)}")
    keys = [("client", "ascending"), ("epoch", "ascending"), ("seq", "ascending")]
    ordered = table.select(SCHEMA.names).sort_by([*keys, ("idx", "ascending")])
    names = [name for name, _ in keys]
    counted = ordered.group_by(names, use_threads=False).aggregate([("idx", "count")])
    start = 0
    # Groups of sorted rows come in the rows' order.
    for group in counted.to_pylist():
        count = group["idx_count"]
        rows = ordered.slice(start, count)
        start += count
        if count > BATCH_LINES_MAX:
            raise BadBatch(f"{path} has a batch of {count} lines: no store takes so many")
        yield Batch(
            BatchId(group["client"], group["epoch"], group["seq"]), count, compress(_lines(rows))
        )


def _lines(rows: pa.Table) -> bytes:
    wanted = rows.select(["t", "app", "host", "level", "msg", "fields"])
    return b"".join(_encode(row) + b"\n" for row in wanted.to_pylist())
