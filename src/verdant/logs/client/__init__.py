"""Clients of the log servers: handler, spools, tail, shipper, reader."""

from verdant.logs.client.containers import FORMATS
from verdant.logs.client.diskspool import DiskSpool
from verdant.logs.client.follower import Follower, Gap
from verdant.logs.client.handler import Handler
from verdant.logs.client.multiline import BadMultiline, parse_multiline
from verdant.logs.client.reader import Found, Reader, Results
from verdant.logs.client.rows import cell_of, shown_fields
from verdant.logs.client.shipper import Shipper
from verdant.logs.client.spool import Spool
from verdant.logs.client.tail import Tail

__all__ = [
    "FORMATS",
    "BadMultiline",
    "DiskSpool",
    "Follower",
    "Found",
    "Gap",
    "Handler",
    "Reader",
    "Results",
    "Shipper",
    "Spool",
    "Tail",
    "cell_of",
    "parse_multiline",
    "shown_fields",
]
