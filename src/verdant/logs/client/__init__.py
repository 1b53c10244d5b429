"""Clients of the log servers: handler, spools, tail, shipper, reader."""

from verdant.logs.client.containers import FORMATS
from verdant.logs.client.diskspool import DiskSpool
from verdant.logs.client.handler import Handler
from verdant.logs.client.multiline import BadMultiline, parse_multiline
from verdant.logs.client.reader import Found, Reader
from verdant.logs.client.shipper import Shipper
from verdant.logs.client.spool import Spool
from verdant.logs.client.tail import Tail

__all__ = [
    "FORMATS",
    "BadMultiline",
    "DiskSpool",
    "Found",
    "Handler",
    "Reader",
    "Shipper",
    "Spool",
    "Tail",
    "parse_multiline",
]
