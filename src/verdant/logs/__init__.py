"""The log pipeline: what was acknowledged is not lost, and is shown once.

The server is behind a door of its own, `verdant.logs.server`: it needs pyarrow and duckdb, and a
program that only logs should not wait for their import.
"""

from verdant.logs.client import (
    FORMATS,
    BadMultiline,
    DiskSpool,
    Found,
    Handler,
    Reader,
    Shipper,
    Spool,
    Tail,
    parse_multiline,
)
from verdant.logs.config import InputConfig, LogServerConfig
from verdant.logs.errors import (
    BadBatch,
    BadInput,
    BadQuery,
    InputUnusable,
    LogsError,
    NotStored,
    SpoolUnusable,
    StoreInUse,
    StoreUnwritable,
)
from verdant.logs.protocol import Row
from verdant.logs.record import Record

__all__ = [
    "FORMATS",
    "BadBatch",
    "BadInput",
    "BadMultiline",
    "BadQuery",
    "DiskSpool",
    "Found",
    "Handler",
    "InputConfig",
    "InputUnusable",
    "LogServerConfig",
    "LogsError",
    "NotStored",
    "Reader",
    "Record",
    "Row",
    "Shipper",
    "Spool",
    "SpoolUnusable",
    "StoreInUse",
    "StoreUnwritable",
    "Tail",
    "parse_multiline",
]
