"""Lock: Eventlet's, a semaphore of one.

Place     eventlet, over its own semaphore.
"""

from __future__ import annotations

from typing import Literal

from verdant.eventlet.semaphore import Semaphore

__all__ = ["Lock"]


class Lock(Semaphore):
    """A lock; `with lock:` holds it."""

    def release(self, blocking: bool = True) -> Literal[True]:  # type: ignore[override]
        """Let the next one in. Raises RuntimeError when nobody holds it. Does not park."""
        if self.counter > 0:
            raise RuntimeError("release unlocked lock")
        return super().release()
