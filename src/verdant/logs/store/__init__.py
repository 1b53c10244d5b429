"""The store: write-ahead log, sealed segments, and the scanner over both."""

from verdant.logs.store.scanner import Scan, follow, scan
from verdant.logs.store.writer import Snapshot, Store

__all__ = ["Scan", "Snapshot", "Store", "follow", "scan"]
