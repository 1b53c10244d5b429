"""Columns: a batch's lines as an Arrow table.

Place     logs/store. Blocking.
Promise   columns are made by parsers in C alone: building them from Python objects would stall the
          server. Lines that are not what their batch says give a `BadBatch`.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute
import pyarrow.json

from verdant.logs.codec import decompress
from verdant.logs.errors import BadBatch

if TYPE_CHECKING:
    from verdant.logs.store.wal import WalEntry

__all__ = ["COLUMNS", "SCHEMA", "table_of"]

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

SCHEMA = pa.schema(
    [
        ("t", pa.int64()),
        ("received", pa.int64()),
        ("app", pa.string()),
        ("host", pa.string()),
        ("level", pa.string()),
        ("msg", pa.string()),
        ("fields", pa.string()),
        ("client", pa.string()),
        ("epoch", pa.int64()),
        ("seq", pa.int64()),
        ("idx", pa.int64()),
        ("pos", pa.int64()),
    ]
)
_ONE = pa.scalar(1, pa.int64())
COLUMNS = tuple(SCHEMA.names)


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
    index = pa.compute.subtract(pa.compute.cumulative_sum(pa.repeat(_ONE, count)), _ONE)
    table = table.append_column("idx", index)
    position = pa.scalar(entry.position, pa.int64())
    table = table.append_column("pos", pa.compute.add(index, position))
    return table.select(COLUMNS)
