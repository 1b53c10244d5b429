"""The log pipeline: what was acknowledged is not lost, and is shown once.

The server is behind a door of its own, `verdant.logs.server`: it needs pyarrow and duckdb, and a
program that only logs should not wait for their import.
"""

from verdant.logs.client import (
    Follower,
    Found,
    Gap,
    Handler,
    Reader,
    Results,
    Shipper,
    Spool,
    cell_of,
    shown_fields,
)
from verdant.logs.config import LogServerConfig, RetentionRule
from verdant.logs.errors import (
    BadBatch,
    BadQuery,
    LogsError,
    QueryStopped,
    ServerAway,
    StoreInUse,
    StoreUnwritable,
)
from verdant.logs.protocol import Row
from verdant.logs.record import Record

__all__ = [
    "BadBatch",
    "BadQuery",
    "Follower",
    "Found",
    "Gap",
    "Handler",
    "LogServerConfig",
    "LogsError",
    "QueryStopped",
    "Reader",
    "Record",
    "Results",
    "RetentionRule",
    "Row",
    "ServerAway",
    "Shipper",
    "Spool",
    "StoreInUse",
    "StoreUnwritable",
    "cell_of",
    "shown_fields",
]
