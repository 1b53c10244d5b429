"""The store: write-ahead log, sealed segments, their upkeep, and searches over all of it."""

from verdant.logs.store.engine import Row
from verdant.logs.store.scanner import GROUPS_MAX, Place, Search, SearchPage
from verdant.logs.store.transfer import export_segments, read_batches
from verdant.logs.store.upkeep import keep_house
from verdant.logs.store.verify import Report, rebuild, verify
from verdant.logs.store.writer import Store

__all__ = [
    "GROUPS_MAX",
    "Place",
    "Report",
    "Row",
    "Search",
    "SearchPage",
    "Store",
    "export_segments",
    "keep_house",
    "read_batches",
    "rebuild",
    "verify",
]
