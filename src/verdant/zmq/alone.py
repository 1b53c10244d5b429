"""Alone: who waits to receive while nobody else wants the socket, and how that ends.

Place     zmq, the base of readiness.py; calls.py's accelerator parks such a thread.
Promise   one who waits alone stands in the watch itself, so that the hub switches straight to it.
          As soon as anybody else comes (a sender that cannot use the short way, another receiver,
          a poller, an option that is read, the end) it is put into the line, first, and all is as
          readiness.py says.
Not here  the look before the park, and the park (_speedups.c).

A REQ parks once per round trip and a REP once per request, nearly always alone. In pure Python
nobody waits this way: the long way does the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import zmq

from verdant.zmq.calls import Turns

if TYPE_CHECKING:
    from collections.abc import Callable

    from zmq.backend import Socket as RawSocket

    from verdant.core import FdWatch, Parkable
    from verdant.zmq.side import Side

__all__ = ["Alone"]

_NOBLOCK = int(zmq.NOBLOCK)


class Alone(Turns):
    """What readiness.py and the accelerator ask about who waits alone."""

    __slots__ = ()

    if TYPE_CHECKING:
        receiving: Side

        def run_in_line(
            self, side: Side, me: Parkable, attempt: Callable[[], object]
        ) -> object: ...
        def leave(self, side: Side, me: Parkable) -> None: ...

    def admit(self) -> None:
        """Put who waits alone into the line, first, as somebody else comes. Does not park."""
        me = self.alone
        if me is None:
            return
        self.alone = None
        watch = cast("FdWatch", self.watch)
        side = self.receiving
        side.line.appendleft(me)
        # Else it has been woken already, and will try next.
        side.idle = watch.reader is me
        if side.idle:
            watch.reader = cast("Parkable", self)

    def go_on(self, me: Parkable, socket: RawSocket) -> object:
        """What it receives after it was put into the line. Parks."""
        message = self.run_in_line(self.receiving, me, lambda: socket.recv(_NOBLOCK))
        self.asked = False
        return message

    def give_up(self, me: Parkable) -> None:
        """It was interrupted, wherever it stands. Does not park."""
        if self.alone is me:
            self.alone = None
            watch = cast("FdWatch", self.watch)
            if watch.reader is me:
                watch.reader = watch.more_readers.popleft() if watch.more_readers else None
            self.settle()
        else:
            side = self.receiving
            if side.line[0] is me:
                side.idle = False
            self.leave(side, me)
