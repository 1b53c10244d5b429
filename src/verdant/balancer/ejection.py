"""Ejection: how a backend that fails loses its share of the requests, and gets it back.

Place     balancer, pure: the clock is an argument. fleet.py asks for shares, healthcheck.py and
          actions/proxy.py report.
Promise   `eject_after` failures in a row put a backend out, for `eject_s` at first and twice as
          long at each further time, up to `EJECT_S_MAX`. It returns with a small share that grows
          for `ramp_s`; a failure meanwhile puts it out again at once. When those left are fewer
          than `panic_share` of all, all are used: a fault that all have is not theirs, and one
          backend under everybody's load would be the next to fall.
Not here  what counts as a failure (actions/proxy.py, healthcheck.py).

    in ──failures──▶ out ──time──▶ returning ──ramp──▶ in
                      ▲              │ failure
                      └──────────────┘   twice as long
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["EJECT_S_MAX", "Standing", "shares_in_panic"]

# A backend that was repaired should not be missed for longer than it takes to notice.
EJECT_S_MAX = 300.0
# With what a returning backend begins: enough to hear of it, little enough to lose.
RAMP_SHARE_MIN = 0.1


class Standing:
    """One backend's record. All times in seconds of one monotonic clock."""

    __slots__ = ("back_at", "ejections", "sound", "streak")

    def __init__(self) -> None:
        # Failures since the last answer.
        self.streak = 0
        # Ejections since it was last wholly in.
        self.ejections = 0
        # When its latest ejection ends or ended; 0.0 when it is wholly in.
        self.back_at = 0.0
        # What active checks say, True without any.
        self.sound = True

    def failed(self, now: float, eject_after: int, eject_s: float) -> bool:
        """Note a failure. Returns True when that puts the backend out."""
        self.streak += 1
        if not eject_after or now < self.back_at:
            return False
        if self.streak < eject_after and not self.back_at:
            return False
        self.streak = 0
        # Powers of more than this are over the bound for every eject_s that is worth having.
        self.back_at = now + min(eject_s * 2 ** min(self.ejections, 30), EJECT_S_MAX)
        self.ejections += 1
        return True

    def recovered(self, now: float) -> None:
        """Active checks found it sound again: it returns as from an ejection, by a small share."""
        self.sound = True
        self.streak = 0
        self.back_at = max(self.back_at, now)

    def share(self, now: float, ramp_s: float) -> float:
        """How much of its weight counts now, from 0 (out) to 1. Forgets what is over."""
        if not self.sound or now < self.back_at:
            return 0.0
        if not self.back_at:
            return 1.0
        since = now - self.back_at
        if since >= ramp_s:
            self.back_at = 0.0
            self.ejections = 0
            return 1.0
        return max(RAMP_SHARE_MIN, since / ramp_s)

    def state(self, now: float) -> str:
        """For people: `in`, `ejected`, `returning` or `unsound` (by active checks)."""
        if not self.sound:
            return "unsound"
        if now < self.back_at:
            return "ejected"
        return "returning" if self.back_at else "in"


def shares_in_panic(shares: Sequence[float], panic_share: float) -> bool:
    """True when too few are left, or nobody is, so that all must be used."""
    left = sum(share > 0 for share in shares)
    return not left or left < panic_share * len(shares)
