"""Clients of the log servers: handler, spool, shipper, reader."""

from verdant.logs.client.handler import Handler
from verdant.logs.client.reader import Found, Reader
from verdant.logs.client.shipper import Shipper
from verdant.logs.client.spool import Spool

__all__ = ["Found", "Handler", "Reader", "Shipper", "Spool"]
