"""The log pipeline: what was acknowledged is not lost, and is shown once.

The server is behind a door of its own, `verdant.logs.server`: it needs pyarrow and duckdb, and a
program that only logs should not wait for their import.
"""

from verdant.logs.client import Found, Handler, Reader, Shipper, Spool
from verdant.logs.config import InputConfig, LogServerConfig
from verdant.logs.errors import (
    BadBatch,
    BadInput,
    BadQuery,
    InputUnusable,
    LogsError,
    NotStored,
    StoreInUse,
    StoreUnwritable,
)
from verdant.logs.protocol import Row
from verdant.logs.record import Record

__all__ = [
    "BadBatch",
    "BadInput",
    "BadQuery",
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
    "StoreInUse",
    "StoreUnwritable",
]
