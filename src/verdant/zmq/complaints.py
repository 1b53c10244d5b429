"""Complaints: what strangers do at a port, counted, and told in few lines.

Place     zmq; gates, and the ports of the systems above.
Promise   everything is counted. The log gets the first at once and then one line in `LOG_S_MIN`, so
          whoever sends nonsense without end fills no disk.
"""

from __future__ import annotations

import logging

from verdant.core import monotonic

__all__ = ["Complaints"]

# The log says who and why, not how often per second.
LOG_S_MIN = 10.0

_log = logging.getLogger("verdant.zmq")


class Complaints:
    """Those of one port. `what`: the sentence's beginning, such as "the port refused"."""

    __slots__ = ("_logged_at", "_untold", "_what", "count")

    def __init__(self, what: str) -> None:
        self.count = 0
        self._what = what
        self._untold = 0
        self._logged_at = -LOG_S_MIN

    def note(self, why: str) -> None:
        """One more; `why` is shown for the last one before a line. Does not park."""
        self.count += 1
        self._untold += 1
        now = monotonic()
        if now - self._logged_at < LOG_S_MIN:
            return
        count, self._untold, self._logged_at = self._untold, 0, now
        _log.warning("%s (%d times, %d in all): %s", self._what, count, self.count, why)
