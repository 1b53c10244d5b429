"""Selection: which backend gets a request.

Place     balancer, pure; proxy.py asks before each attempt.
Promise   every backend is as likely as any other; one that failed this request is not chosen again
          while another is left.
Not here  connections and retries (proxy.py).

Random choice needs no state that workers would have to share, which is why it comes first: two
workers that each went round robin from the start would send their first requests to one backend.
A backend that is named twice in a rule gets twice the share.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

__all__ = ["Backend", "choose_backend"]

Backend = tuple[str, int]


def choose_backend(
    backends: Sequence[Backend],
    failed: Collection[Backend] = (),
    *,
    fraction: Callable[[], float] = random.random,
) -> Backend:
    """One of `backends` (at least one, as rules guarantee), at random.

    `failed`: those that this request has met in vain. `fraction`: gives a number from 0 up to,
    not including, 1. Does not park.
    """
    if len(backends) == 1:
        return backends[0]
    if failed:
        backends = [backend for backend in backends if backend not in failed] or backends
    return backends[int(fraction() * len(backends))]
