"""Share: one worker's part of a limit that is meant for the whole balancer.

Place     balancer, pure; front.py and fleet.py reckon by it.
Promise   the parts of all workers together are no less than the whole, and at most one more for
          each worker: rounded up, so that none of them may do nothing. A limit of 0 stays 0.

A limit counted across processes would want a word with the others for every request.
"""

from __future__ import annotations

__all__ = ["part"]


def part(whole: int, share: float) -> int:
    """`whole` times `share` (from 0 to 1), rounded up."""
    return -int(-whole * share // 1)
