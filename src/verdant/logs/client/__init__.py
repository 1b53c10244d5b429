"""Clients of the log servers: handler, spool, shipper, reader."""

from verdant.logs.client.follower import Follower, Gap
from verdant.logs.client.handler import Handler
from verdant.logs.client.reader import Found, Reader, Results
from verdant.logs.client.rows import cell_of, shown_fields
from verdant.logs.client.shipper import Shipper
from verdant.logs.client.spool import Spool

__all__ = [
    "Follower",
    "Found",
    "Gap",
    "Handler",
    "Reader",
    "Results",
    "Shipper",
    "Spool",
    "cell_of",
    "shown_fields",
]
