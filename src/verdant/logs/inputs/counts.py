"""Counts: what an input took and what it turned away, each with its reason.

Place     logs/inputs, pure.
Promise   whatever comes to an input is in exactly one of these numbers; nothing goes uncounted.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

__all__ = ["TOLD", "Counts"]

# Those that an operator should hear of.
TOLD = ("malformed", "oversized", "unauthorised", "dropped", "busy")


@dataclass(slots=True)
class Counts:
    """Numbers since the start of one input, in messages (requests, where one could not be read)."""

    # On disk.
    stored: int = 0
    # Read by the rules of no protocol: kept as text where the protocol has no answer for it.
    malformed: int = 0
    # Over a limit: cut where the protocol has no answer for it, refused where it has.
    oversized: int = 0
    # Without a token, or with one for other apps.
    unauthorised: int = 0
    # Taken, then lost: at-most-once inputs only, while the disk was behind.
    dropped: int = 0
    # Refused for now, so that the sender sends again: the disk is full, or the server stops.
    busy: int = 0

    def numbers(self) -> dict[str, int]:
        """All of them by name."""
        return asdict(self)
