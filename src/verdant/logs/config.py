"""Configuration of log servers and of their clients, as frozen values.

Place     logs, pure: the command line reads the file and hands this down.
Promise   every default is safe: loopback, bounded, durable.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from verdant.zmq.endpoints import is_exposed

__all__ = ["EVERY_APP", "LogServerConfig", "RetentionRule"]

# The name under which a rule holds for every app that has none of its own.
EVERY_APP = "*"


class RetentionRule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How long one app's lines are kept; 0 is without that bound. Whichever comes first counts."""

    app: str = EVERY_APP
    age_s_max: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    bytes_max: Annotated[int, msgspec.Meta(ge=0)] = 0
    lines_max: Annotated[int, msgspec.Meta(ge=0)] = 0


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
    # Kept aside on the disk for sealing and dropping when the rest of it is full.
    headroom_bytes: Annotated[int, msgspec.Meta(ge=0)] = 64 * 1024**2
    # By app; without a rule an app's lines stay until the store is over its size.
    retention: list[RetentionRule] = []
    # The server's secret key file (`verdant keys new`). With it the three ports take CURVE alone.
    keys: str | None = None
    # A directory of the allowed clients' public key files, followed as it changes; "*" is any key.
    allow: str | None = None
    # Plain text to other machines: whoever is on the way reads and writes lines.
    insecure: bool = False

    def __post_init__(self) -> None:
        """Refuses ports that strangers could use, and keys that nobody could show."""
        if self.keys is not None and not self.allow:
            raise ValueError(
                "allow: a server with keys must say whose it takes: a directory of their .key "
                'files, or "*" for any'
            )
        if self.keys is None and self.allow is not None:
            raise ValueError("keys: a server that allows some keys needs one itself")
        if self.keys is not None or self.insecure:
            return
        for name in ("collect", "pull", "query"):
            endpoint = getattr(self, name)
            if is_exposed(endpoint):
                raise ValueError(
                    f"{name}: {endpoint!r} can be reached from other machines in plain text; give "
                    "the server `keys` and `allow`, or say `insecure = true`"
                )
