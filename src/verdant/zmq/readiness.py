"""Readiness: the one rule by which green threads wait for a ZeroMQ socket.

Place     zmq; socket.py and poller.py wait through it. Touches ZMQ_FD and ZMQ_EVENTS, never data.
Promise   no wake-up is lost: whoever might have consumed the descriptor's edge looks at the state
          again on behalf of everybody who waits. First come, first served, in each direction.
Not here  sending and receiving (socket.py).

ZMQ_FD is not a data descriptor. It becomes readable when libzmq has a command for the socket, and
*any* call on the socket (a send, a receive, a failed one, reading ZMQ_EVENTS) may process that
command and so take the signal away. zmq_getsockopt(3) therefore says: treat it as edge-triggered,
and read ZMQ_EVENTS until it has nothing. From that follows the rule, in both directions at once:

    after any call, if anybody waits:   read EVENTS, wake who can go on
    before parking:                     stand in line, read EVENTS; if it has our bit, try again
    on an edge (in the hub):            one waiter: let it try. Several: read EVENTS, wake who can

Nothing of this thread runs between the last look and the park, so an edge that comes later is still
there when the hub polls. Rejected: a watchdog, which turns a lost wake-up into an odd delay.

    line of a direction:   head ─ next ─ next        only the head tries; leaving, it looks on
                           └ idle: parked until an edge          behalf of the next

Nearly all calls meet nobody else and pay one look at `may_receive` or `may_send`. Whoever begins to
wait lowers these flags, the last to leave puts them up again.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, TypeVar, cast

import zmq
from zmq.backend import Socket as RawSocket

from verdant.core import (
    FdWatch,
    Hub,
    Parkable,
    TimedOut,
    current_hub,
    current_thread,
    sleep,
    unpark,
    watch_fd,
    withdraw,
)
from verdant.core.originals import get_ident
from verdant.zmq.alone import Alone
from verdant.zmq.errors import WrongProcess, WrongThread
from verdant.zmq.options import int_option
from verdant.zmq.side import CALLS_PER_TURN, HITS_UNTIL_SURE, Side

if TYPE_CHECKING:
    from collections.abc import Callable

    from verdant.sync import Event

__all__ = ["CALLS_PER_TURN", "Readiness"]

# A ROUTER that must not drop (ROUTER_MANDATORY) refuses a message while its peer's queue is full
# and EVENTS says writable, for other peers. So it tries again, for some 0.5 % of a processor.
RETRY_S = 0.001

_EVENTS = int(zmq.EVENTS)
_FD = int(zmq.FD)
_RCVMORE = int(zmq.RCVMORE)
_TYPE = int(zmq.TYPE)
_ALTERNATING = (int(zmq.REQ), int(zmq.REP))
_IN = int(zmq.POLLIN)
_OUT = int(zmq.POLLOUT)
_ALL = int(zmq.POLLIN | zmq.POLLOUT | zmq.POLLERR)

# `Readiness.ident` when the parent's native thread of that number is not this process's.
_FORKED = -1

T = TypeVar("T")


class Readiness(Alone):
    """Who waits for one socket. Stands in the watch where a waiting green thread would.

    Or, while one waits alone, lets it stand there itself (alone.py).

    `address`: of libzmq's socket. This object does not keep pyzmq's alive: whoever waits does.
    """

    __slots__ = (
        "__weakref__",
        "_raw",
        "_read_more",
        "closed",
        "hub",
        "interrupts",
        "observers",
        "read_events",
        "receiving",
        "scheduled",
        "sending",
        "unfinished",
    )

    name = "zmq readiness"
    dead = False
    hub: Hub

    def __init__(self, address: int) -> None:
        self._raw = RawSocket(shadow=address)
        self.address = address
        self.read_events = int_option(address, _EVENTS)
        self._read_more = int_option(address, _RCVMORE)
        self.watch: FdWatch | None = None
        self.receiving = Side(_IN, int(zmq.RCVTIMEO))
        self.sending = Side(_OUT, int(zmq.SNDTIMEO))
        # REQ and REP take turns, and whoever receives before it has sent gets an error.
        self.alternates = cast("int", self._raw.get(_TYPE)) in _ALTERNATING
        self.asked = False
        # Pollers: the event to set when one of these bits is there.
        self.observers: dict[Event, int] = {}
        self.closed = False
        # The native thread that uses it; 0 until the first use, so that a socket can be made in
        # one thread and handed over to another.
        self.ident = 0
        self.left = CALLS_PER_TURN
        self.hits = 0
        self.may_receive = self.may_send = self.may_wait = False
        # Who waits by calls.py's accelerator: in the watch itself, for want of company.
        self.alone = None
        # The last part of a message is still to come.
        self.unfinished = False
        self.scheduled = False
        self.interrupts = None

    def check(self) -> None:
        """Raise `WrongThread`, `WrongProcess` or ENOTSOCK if this socket cannot be used here."""
        if self.closed:
            raise zmq.ZMQError(zmq.ENOTSOCK)
        if self.ident != get_ident():
            if self.ident == _FORKED:
                raise WrongProcess(
                    "this ZeroMQ socket belongs to the parent process: make a Context and a socket"
                    " in the child"
                )
            if self.ident:
                raise WrongThread(
                    "this ZeroMQ socket belongs to another native thread: make one here, and join"
                    " them over inproc"
                )
            self.ident = get_ident()

    def run(self, side: Side, attempt: Callable[[], T], look_first: bool = False) -> T:
        """Call `attempt` in turn until it does not raise `Again`. Parks in between.

        `look_first`: there may well be nothing yet, and a failed attempt is dear.

        Raises `Again` when the socket's own timeout is over, and what `attempt` raises.
        """
        me = current_thread()
        self.admit()
        side.line.append(me)
        self.may_receive = self.may_send = self.may_wait = False
        return self.run_in_line(side, me, attempt, look_first)

    def run_in_line(
        self, side: Side, me: Parkable, attempt: Callable[[], T], look_first: bool = False
    ) -> T:
        """As `run`, for one who stands in the line already."""
        expired: TimedOut | None = None
        timer = None
        try:
            ready = side.line[0] is me and (not look_first or bool(self._events_for(side)))
            looked = not ready
            claimed = False
            while True:
                if ready:
                    try:
                        result = attempt()
                    except zmq.Again:
                        looked = False
                        if self.unfinished and side is self.sending:
                            # The caller's to settle: it must not try again.
                            raise
                    else:
                        if side is self.receiving:
                            self.hits += 1
                        self.left -= 1
                        return result
                if expired is None and (limit_ms := self._timeout_ms(side)) >= 0:
                    if limit_ms == 0:
                        raise zmq.Again
                    expired = TimedOut(f"the socket was not ready within {limit_ms} ms")
                    timer = me.hub.run_later(limit_ms / 1000, me.hub.interrupt, me, expired)
                claimed = self._pause(side, me, looked, claimed)
                ready = True
        except TimedOut as exc:
            # A Timeout scope around us is somebody else's bound.
            if exc is not expired:
                raise
            raise zmq.Again from None
        finally:
            if timer is not None:
                timer.cancel()
                withdraw(me, cast("TimedOut", expired))
            self.leave(side, me)

    def _pause(self, side: Side, me: Parkable, looked: bool, claimed: bool) -> bool:
        """Before the next try: wait, unless EVENTS says go. Returns whether it says so."""
        if looked or not self._events_for(side):
            self._wait(side, me)
            return False
        if claimed:
            # It said so before, and it was not so.
            sleep(RETRY_S)
        return True

    def _timeout_ms(self, side: Side) -> int:
        if side.timeout_ms is None:
            side.timeout_ms = cast("int", self._raw.get(side.timeout_option))
        return side.timeout_ms

    def _wait(self, side: Side, me: Parkable) -> None:
        """Park until it may be our turn: called as the head of the line, or with an edge.

        The head must have looked, and nobody else have run since: then an edge is still to come.
        """
        if side.line[0] is me:
            side.idle = True
            self._arm()
        if side is self.receiving:
            self.hits = 0
        self.left = CALLS_PER_TURN
        try:
            # Woken by switch() on an edge, by _tell() after another's call, or by close().
            me.hub.leave()
        except BaseException:
            if side.line[0] is me:
                side.idle = False
            raise
        me.scheduled = False
        if self.closed:
            raise zmq.ZMQError(zmq.ENOTSOCK)

    def leave(self, side: Side, me: Parkable) -> None:
        line = side.line
        if line[0] is me:
            line.popleft()
            # Who is next has been parked all the time; from now on an edge is meant for it.
            side.idle = bool(line) and not self.closed
        else:
            line.remove(me)
        self.settle()

    def settle(self) -> None:
        """After any call: wake who can go on, and see whether the next call meets nobody."""
        if self.closed:
            return
        self.admit()
        receiving, sending = self.receiving, self.sending
        if receiving.idle or sending.idle or self.observers:
            self._tell(self._events_or_all())
        else:
            self._disarm()
        quiet = not (receiving.idle or sending.idle or self.observers) and self.left > 0
        sure = self.hits >= HITS_UNTIL_SURE and not self.alternates
        self.may_receive = quiet and not receiving.line and sure
        self.may_send = quiet and not sending.line and not self.unfinished
        unbounded = receiving.timeout_ms == -1 and self.watch is not None
        self.may_wait = self.may_send and not receiving.line and unbounded

    def take_turns(self) -> None:
        """Let others run when this socket has had its turn. May park. Raises interrupts."""
        if self.left <= 0:
            self.left = CALLS_PER_TURN
            sleep(0)

    # State.

    def events(self) -> int:
        """Read EVENTS, and wake whom it is news for. Does not park. Raises as pyzmq's `get`."""
        self.admit()
        events = cast("int", self._raw.get(_EVENTS))
        self._tell(events)
        return events

    def expects_nothing_yet(self) -> bool:
        """True when a receive had better look first. Does not park."""
        if self.alternates and not self.asked:
            # Out of turn: only libzmq itself can say so (EFSM).
            return False
        return self.hits < HITS_UNTIL_SURE

    def more(self) -> bool:
        """True when parts of the message received last are still to come. Does not park."""
        return self._read_more() > 0

    def _events_for(self, side: Side) -> int:
        events = self._events_or_all()
        if self.receiving.idle or self.sending.idle or self.observers:
            self._tell(events)
        return events & side.bit

    def _events_or_all(self) -> int:
        # -1, all bits, when the context is going: whoever waits shall try, and hear of it.
        return _ALL if self.closed else self.read_events()

    def _tell(self, events: int) -> None:
        for side in (self.receiving, self.sending):
            if side.idle and events & side.bit:
                side.idle = False
                unpark(side.line[0])
        for woken, mask in self.observers.items():
            if events & mask:
                woken.set()
        if self.receiving.idle or self.sending.idle or self.observers:
            self._arm()

    def _arm(self) -> None:
        # Each time anew: the hub takes a waiter off when it switches to it.
        watch = self.watch
        if watch is None:
            watch = self._make_watch()
        before, me = watch.reader, cast("Parkable", self)
        watch.reader = me
        if before is not None and before is not me:
            # Somebody waits for the descriptor itself, by `select` say. The hub rouses the line.
            if watch.more_readers is None:
                watch.more_readers = deque()
            watch.more_readers.append(before)

    def _disarm(self) -> None:
        watch = self.watch
        if watch is not None and watch.reader is cast("Parkable", self):
            watch.reader = watch.more_readers.popleft() if watch.more_readers else None

    def observe(self, woken: Event, mask: int) -> None:
        """Set `woken` as soon as EVENTS may have a bit of `mask`. Does not park."""
        self.admit()
        self.observers[woken] = self.observers.get(woken, 0) | mask
        self.may_receive = self.may_send = self.may_wait = False
        self._arm()

    def forget(self, woken: Event) -> None:
        """Take back `observe`. Does not park."""
        if self.observers.pop(woken, None) is not None:
            self.settle()

    # In the hub.

    def switch(self) -> None:
        """Called by the hub on an edge, in the hub. Does not park."""
        receiving, sending = self.receiving, self.sending
        if receiving.idle is not sending.idle and not self.observers:
            # Trying tells as much as looking does, and costs nothing when it succeeds.
            side = receiving if receiving.idle else sending
            side.idle = False
            side.line[0].switch()
        elif not self.closed:
            self._tell(self._events_or_all())

    def throw(self, exc: BaseException, /) -> object:
        """The hub expects it of a waiter; nobody interrupts this one."""
        raise exc

    def _make_watch(self) -> FdWatch:
        self.hub = current_hub()
        self.watch = watch_fd(cast("int", self._raw.get(_FD)), read_only=True)
        return self.watch

    # The end.

    def close(self) -> None:
        """Forget the descriptor. Call it before the socket closes. Does not park."""
        self.admit()
        self.closed = True
        self.may_receive = self.may_send = self.may_wait = False
        if self.watch is not None:
            self._disarm()
            self.watch.close()

    def wake_everybody(self) -> None:
        """After the socket closed: let all who wait find out. Does not park."""
        for side in (self.receiving, self.sending):
            waiting = list(side.line)
            if not side.idle:
                # The head has been called already, or is the one that closes.
                waiting = waiting[1:]
            side.idle = False
            for thread in waiting:
                unpark(thread)
        for woken in self.observers:
            woken.set()

    def is_used_elsewhere(self) -> bool:
        """True when another native thread, which still has its hub, waits by this socket."""
        return (
            self.watch is not None
            and not self.watch.closed
            and self.ident not in (_FORKED, get_ident())
            and self.hub.wakeup.is_open
        )

    def disown(self) -> None:
        """In a forked child: every further use raises `WrongProcess`. Does not park."""
        self.ident = _FORKED
        self.alone = None
        self.may_receive = self.may_send = self.may_wait = False
        if self.watch is not None:
            self._disarm()
            self.watch.close()

    def __del__(self) -> None:
        # A shadow goes without being closed; its watch must go with it.
        if self.watch is not None and not self.watch.closed:
            self._disarm()
            self.watch.close()
