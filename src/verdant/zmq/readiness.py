"""Readiness: the one rule by which green threads wait for a ZeroMQ socket.

Place     zmq; socket.py and poller.py wait through it. Touches ZMQ_FD and ZMQ_EVENTS, never data.
Promise   no wake-up is lost: whoever might have consumed the descriptor's edge looks at the state
          again on behalf of everybody who waits.
Not here  sending and receiving (socket.py).

ZMQ_FD is not a data descriptor. It becomes readable when libzmq has a command for the socket, and
*any* call on the socket (a send, a receive, a failed one, reading ZMQ_EVENTS) may process that
command and so take the signal away. zmq_getsockopt(3) therefore says: treat it as edge-triggered,
and read ZMQ_EVENTS until it has nothing. From that follows the rule, in both directions at once:

    after any call, if anybody waits:   read EVENTS, wake who can go on
    before parking:                     read EVENTS; if it has our bit, try again instead
    on an edge (in the hub):            read EVENTS, wake who can go on

Nothing of this thread runs between the last look and the park, so an edge that comes later is
still in the descriptor when the hub polls. The rejected way is a watchdog that looks again every
few seconds: it turns a lost wake-up into a delay that nobody can explain.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import zmq

from verdant.core import FdWatch, Hub, Parkable, WaitQueue, watch_fd

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Readiness"]


class Readiness:
    """Who waits for one socket. Stands in the watch where a waiting green thread would.

    `read_events`: reads ZMQ_EVENTS of the socket.
    """

    __slots__ = (
        "_read_events",
        "_watch",
        "hub",
        "interrupts",
        "observers",
        "receivers",
        "scheduled",
        "senders",
    )

    name = "zmq readiness"
    dead = False

    def __init__(self, fd: int, read_events: Callable[[], int]) -> None:
        self._read_events = read_events
        self.receivers = WaitQueue()
        self.senders = WaitQueue()
        # Pollers: called with the events whenever there are any.
        self.observers: dict[Callable[[int], None], None] = {}
        self._watch: FdWatch = watch_fd(fd)
        self.hub: Hub = self._watch.hub
        self.scheduled = False
        self.interrupts = None
        self._arm()

    def _arm(self) -> None:
        # The hub takes a waiter off when it switches to it; this one always waits.
        self._watch.reader = cast("Parkable", self)

    def switch(self) -> None:
        """Called by the hub on an edge, in the hub. Does not park."""
        if not self._watch.closed:
            self._arm()
            self.look()

    def throw(self, exc: BaseException, /) -> object:
        """Part of what the hub expects of a waiter; nobody interrupts this one."""
        raise exc

    def waited_for(self) -> bool:
        """True when somebody waits, so that a call's side effects must be looked at."""
        return bool(self.receivers or self.senders or self.observers)

    def look(self) -> int:
        """Read EVENTS, wake who can go on, and return the events. Does not park."""
        if self._watch.closed:
            return 0
        events = self._read_events()
        if events & zmq.POLLIN:
            self.receivers.wake_one()
        if events & zmq.POLLOUT:
            self.senders.wake_one()
        if events and self.observers:
            for observer in list(self.observers):
                observer(events)
        return events

    def close(self) -> None:
        """Forget the descriptor. Call it before the socket closes. Does not park."""
        self._watch.reader = None
        self._watch.close()

    def wake_everybody(self) -> None:
        """After the socket closed: let all who wait find out. Does not park."""
        self.receivers.wake_all()
        self.senders.wake_all()
        for observer in list(self.observers):
            observer(zmq.POLLERR)
