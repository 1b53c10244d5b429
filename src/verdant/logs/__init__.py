"""The log pipeline: what was acknowledged is not lost, and is shown once.

The server is behind a door of its own, `verdant.logs.server`: it needs pyarrow and duckdb, and a
program that only logs should not wait for their import.
"""

from verdant.logs.client import (
    FORMATS,
    BadMultiline,
    DiskSpool,
    Follower,
    Found,
    Gap,
    Handler,
    Reader,
    Results,
    Shipper,
    Spool,
    Tail,
    cell_of,
    parse_multiline,
    shown_fields,
)
from verdant.logs.config import InputConfig, LogServerConfig, RetentionRule
from verdant.logs.errors import (
    BadBatch,
    BadInput,
    BadQuery,
    InputUnusable,
    LogsError,
    NotStored,
    QueryStopped,
    ServerAway,
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
    "Follower",
    "Found",
    "Gap",
    "Handler",
    "InputConfig",
    "InputUnusable",
    "LogServerConfig",
    "LogsError",
    "NotStored",
    "QueryStopped",
    "Reader",
    "Record",
    "Results",
    "RetentionRule",
    "Row",
    "ServerAway",
    "Shipper",
    "Spool",
    "SpoolUnusable",
    "StoreInUse",
    "StoreUnwritable",
    "Tail",
    "cell_of",
    "parse_multiline",
    "shown_fields",
]
