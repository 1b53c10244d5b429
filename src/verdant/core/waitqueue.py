"""Wait queue: a fair line of parked green threads, the base of every lock, event and queue.

Place     core, on parking; sync/ is made of this alone.
Promise   first come, first woken. A thread that was woken has what it waited for, even when an
          interrupt arrives before it runs; a thread that was interrupted has left the line.
Not here  what is waited for (sync/).
"""

from __future__ import annotations

from verdant.core.parking import Parkable, current_thread, park, unpark

__all__ = ["WaitQueue"]


class WaitQueue:
    """Green threads in the order in which they came.

    A dict, not a deque: a timeout takes its thread out of the middle, and that should not cost
    more the longer the line is.
    """

    __slots__ = ("_line",)

    def __init__(self) -> None:
        self._line: dict[Parkable, None] = {}

    def wait(self, timeout_s: float | None = None) -> None:
        """Stand in line until woken. Parks. Raises `TimedOut` after `timeout_s` seconds."""
        me = current_thread()
        self._line[me] = None
        try:
            # Woken by wake_one() or wake_all(), which take us out of the line.
            park(timeout_s)
        except BaseException:
            self._line.pop(me, None)
            raise

    def wake_one(self) -> bool:
        """Wake the first in line. Returns False when nobody waits. Does not park."""
        for thread in self._line:
            del self._line[thread]
            unpark(thread)
            return True
        return False

    def wake_all(self) -> int:
        """Wake everybody, in order. Returns how many. Does not park."""
        line, self._line = self._line, {}
        for thread in line:
            unpark(thread)
        return len(line)

    def __len__(self) -> int:
        return len(self._line)

    def __bool__(self) -> bool:
        return bool(self._line)
