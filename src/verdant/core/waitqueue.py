"""Wait queue: a fair line of parked green threads, the base of every lock, event and queue.

Place     core, on parking; sync/ is made of this alone.
Promise   first come, first woken. A thread that was woken has what it waited for, even when an
          interrupt arrives before it runs; a thread that was interrupted has left the line.
Not here  what is waited for (sync/). Lines that several native threads share, but for one case:
          news that all hear and nobody takes away (`wait_unless` and `wake_all`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from verdant.core.current import slot
from verdant.core.parking import Parkable, current_thread, park, unpark
from verdant.errors import TimedOut

if TYPE_CHECKING:
    from collections.abc import Callable

    from verdant.core.hub import Hub

__all__ = ["WaitQueue"]


class WaitQueue:
    """Green threads in the order in which they came.

    A dict, not a deque: a timeout takes its thread out of the middle, and that should not cost
    more the longer the line is.
    """

    __slots__ = ("_line",)

    def __init__(self) -> None:
        # The value tells one wait of a thread from its next; None where nobody asks.
        self._line: dict[Parkable, object] = {}

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

    def wait_unless(self, come: Callable[[], bool], timeout_s: float | None = None) -> None:
        """As `wait`, but return at once when `come()` is true. For news from other native threads.

        `come` is asked in line: whoever makes it true, and wakes all then, finds this thread there.
        """
        me = current_thread()
        self._line[me] = object()
        try:
            if come():
                del self._line[me]
            else:
                # Woken by wake_all(), in our hub, which takes us out of the line.
                park(timeout_s)
        except BaseException:
            self._line.pop(me, None)
            raise

    def wait_in_time(
        self, timeout_s: float | None, unless: Callable[[], bool] | None = None
    ) -> bool:
        """As `wait`, or `wait_unless`, but return False after `timeout_s` seconds. Parks."""
        try:
            if unless is None:
                self.wait(timeout_s)
            else:
                self.wait_unless(unless, timeout_s)
        except TimedOut as exc:
            # A Timeout scope around us, a subclass, is somebody else's bound.
            if type(exc) is not TimedOut:
                raise
            return False
        return True

    def wake_one(self) -> bool:
        """Wake the first in line. Returns False when nobody waits. Does not park."""
        for thread in self._line:
            del self._line[thread]
            unpark(thread)
            return True
        return False

    def wake_all(self) -> int:
        """Wake everybody, in order. Returns how many. From any native thread. Does not park.

        Threads of other hubs leave the line there: only in its own native thread can a wake-up not
        cross an interrupt.
        """
        if not self._line:
            return 0
        mine: Hub | None = getattr(slot, "hub", None)
        abroad: dict[Hub, list[tuple[Parkable, object]]] = {}
        waiting = self._line.copy()
        for thread, wait in waiting.items():
            if thread.hub is mine:
                self._line.pop(thread, None)
                unpark(thread)
            else:
                abroad.setdefault(thread.hub, []).append((thread, wait))
        for hub, waits in abroad.items():
            hub.run_soon_threadsafe(self._wake_those, waits)
        return len(waiting)

    def _wake_those(self, waits: list[tuple[Parkable, object]]) -> None:
        # In their hub. One that has left, and perhaps come again, is not meant.
        for thread, wait in waits:
            if thread in self._line and self._line[thread] is wait:
                del self._line[thread]
                unpark(thread)

    def __len__(self) -> int:
        return len(self._line)

    def __bool__(self) -> bool:
        return bool(self._line)
