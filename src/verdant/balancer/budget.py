"""Budget: how many retries a rule's requests may cause together.

Place     balancer, pure: the clock is an argument.
Promise   retries are at most `share` of the requests, plus `RETRIES_PER_S` for rules with few of
          them, whatever fails: an outage is not multiplied by those who meet it.
"""

from __future__ import annotations

__all__ = ["RetryBudget"]

# What a rule with little traffic may always retry, and how much of it can be saved up.
RETRIES_PER_S = 10.0
# What a minute of calm may save for a bad moment.
SAVED_RETRIES_MAX = 100.0


class RetryBudget:
    """Tokens, a `share` of one for each request; a retry takes a whole one."""

    __slots__ = ("_looked_at", "_share", "_tokens", "requests")

    def __init__(self, share: float, now: float) -> None:
        self._share = share
        self._tokens = RETRIES_PER_S
        self._looked_at = now
        # Since the last look: the request path adds one, and pays no more.
        self.requests = 0

    def take(self, now: float) -> bool:
        """True when a retry may be made, which counts it."""
        earned = self.requests * self._share + (now - self._looked_at) * RETRIES_PER_S
        self.requests = 0
        self._looked_at = now
        self._tokens = min(self._tokens + earned, SAVED_RETRIES_MAX)
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True
