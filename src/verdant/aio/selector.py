"""Selector: where an asyncio loop waits, which here parks its green thread on the hub.

Place     aio, on green; loop.py gives one to each loop.
Promise   the stdlib's selector with another way to wait. A loop that has nothing to do costs
          nothing: it is one parked green thread, and there is no polling. A loop that always has
          something to do lets every other green thread run once per turn.
Not here  registering and keys, the stdlib's; what the loop does with the events (asyncio).

    loop's descriptors ──▶ its own epoll ──▶ one descriptor, watched by the hub ──▶ park

Why an epoll in an epoll: asyncio wants levels (ready until it is read) and the hub has edges. The
kernel keeps the levels in the inner one and makes an edge for the outer one whenever something in
it becomes ready. So asyncio and green sockets may both hold a descriptor, and neither takes the
other's events. The inner one is asked only while `readable` says that it may have an answer.
"""

from __future__ import annotations

import selectors
from typing import TYPE_CHECKING

from greenlet import GreenletExit

from verdant.core import Cancelled, current_hub, sleep, watch_fd
from verdant.green.select import native_epoll

if TYPE_CHECKING:
    from collections.abc import Callable

    from verdant.core import FdWatch

__all__ = ["HubSelector"]

Events = list[tuple[selectors.SelectorKey, int]]


class HubSelector(selectors.EpollSelector):
    """As `selectors.EpollSelector`; `select()` parks. For one loop in one native thread.

    `report(exception)` hears of an interrupt that reached the loop's green thread while it waited
    for everybody and not for one task, such as a green `Timeout` that a coroutine set.
    """

    # Under a patch the stdlib's class makes green ones, which would park a second time.
    _selector_cls = native_epoll

    def __init__(self, report: Callable[[BaseException], None]) -> None:
        super().__init__()
        self._report = report
        self._watch: FdWatch | None = None

    def select(self, timeout: float | None = None) -> Events:
        """As in the stdlib: `timeout` in seconds, None for ever, 0 or less to ask. Parks."""
        watch = self._watch
        if watch is None:
            # Here and not above: a loop may be made before its native thread is known.
            watch = self._watch = watch_fd(self.fileno())
            watch.readable = True
        if timeout is not None and timeout <= 0:
            self._park(watch, sleep)
            return self._ask(watch)
        if watch.readable and self._ask(watch):
            # More of what was not all taken last time. The others have had no turn since; what
            # they do in theirs may change the answer.
            self._park(watch, sleep)
            return self._ask(watch)
        timer = None
        if timeout is not None:
            timer = current_hub().run_later(timeout, watch.rouse_readers)
        try:
            # Woken by the hub on an edge, by rouse(), or by the timer.
            self._park(watch, watch.wait_readable)
        finally:
            if timer is not None:
                timer.cancel()
        return self._ask(watch)

    def rouse(self) -> None:
        """End a wait that is under way. From a green thread of the loop's own native thread."""
        if self._watch is not None:
            self._watch.rouse_readers()

    def close(self) -> None:
        """As in the stdlib. Does not park."""
        if self._watch is not None:
            self._watch.close()
        super().close()

    def _ask(self, watch: FdWatch) -> Events:
        if not watch.readable:
            return []
        found = super().select(0)
        if not found:
            # Whatever becomes ready from now on makes an edge, which the hub notes here.
            watch.readable = False
        return found

    def _park(self, watch: FdWatch, park: Callable[[], None]) -> None:
        try:
            park()
        except (Cancelled, GreenletExit, KeyboardInterrupt, SystemExit):
            # Meant for the loop as a whole: it ends.
            raise
        except BaseException as exc:
            if watch.closed:
                raise
            # Whoever set it is a task, and tasks are asyncio's to interrupt: raised here it would
            # end the loop for all of them.
            self._report(exc)
