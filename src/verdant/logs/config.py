"""Configuration of log servers and of their clients, as frozen values.

Place     logs, pure: the command line reads the file and hands this down.
Promise   every default is safe: loopback, bounded, durable.
"""

from __future__ import annotations

import msgspec

__all__ = ["LogServerConfig"]


class LogServerConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One log server: its name, its three endpoints and its directory."""

    name: str
    # Acked batches come here (ROUTER).
    collect: str
    # Plain clients PUSH lines here: at most once.
    pull: str
    # Queries and tails are asked here (ROUTER; REQ clients work too).
    query: str
    data_dir: str
    # Oldest segments go when the store is larger; 10 GiB fit any disk that keeps logs.
    store_bytes_max: int = 10 * 1024**3
