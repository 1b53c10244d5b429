"""Pump: join two sockets, so that neither side needs to know the other's addresses.

Place     zmq/patterns, on green ZeroMQ: a proxy as green threads of this program.
Promise   a message goes through whole and in order, or is counted as dropped. At most one message
          per direction is in the pump's hands; all that waits, waits in the two sockets' queues,
          which are bounded. `pause` stops it between two messages and loses none.
Not here  what messages mean.

    clients ─▶ ROUTER ═ pump ═ DEALER ─▶ workers         request_queue()
    publishers ─▶ XSUB ═ pump ═ XPUB ─▶ subscribers      forwarder()

Steered by its methods, or over a control socket as zmq_proxy_steerable(3) is: PAUSE, RESUME,
TERMINATE, STATISTICS; a REP socket answers each.
"""

from __future__ import annotations

import contextlib
import json
import logging
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import zmq

from verdant.core import GreenThread, spawn
from verdant.sync import Event
from verdant.zmq.patterns.sockets import bound, endpoint_of

if TYPE_CHECKING:
    from verdant.zmq.context import Context
    from verdant.zmq.security import PortSecurity
    from verdant.zmq.socket import Socket

__all__ = ["Pump", "PumpStatistics", "forwarder", "request_queue"]

# Per peer and direction, as ZeroMQ counts: beyond it senders wait, and PUB drops.
WAITING_MAX = 1000
# What passes through is not the pump's own; this bounds what one frame may cost its memory.
FRAME_BYTES_MAX = 16 * 1024 * 1024

_RECEIVE_ONLY = (zmq.PULL, zmq.SUB)
_SEND_ONLY = (zmq.PUSH, zmq.PUB)

_log = logging.getLogger("verdant.zmq")


@dataclass(frozen=True, slots=True)
class PumpStatistics:
    """Messages and bytes from front to back (`forth`) and from back to front (`back`).

    `dropped`: those that had nowhere to go, such as an answer to a client that left. `in_hand`:
    received, and waiting for room on the other side or for `resume`; one per direction at most.
    """

    forth: int
    forth_bytes: int
    back: int
    back_bytes: int
    dropped: int
    in_hand: int
    paused: bool


class Pump:
    """Joins `front` and `back`, both open already; it closes them when it ends.

    `control`: a REP, PULL, SUB or PAIR socket that commands come in by.
    """

    def __init__(
        self, front: Socket, back: Socket, *, control: Socket | None = None, name: str = "pump"
    ) -> None:
        self.front_endpoint = endpoint_of(front)
        self.back_endpoint = endpoint_of(back)
        self.rejected = 0
        self._front = front
        self._back = back
        self._control = control
        self._name = name
        self._counts = {"forth": 0, "forth_bytes": 0, "back": 0, "back_bytes": 0, "dropped": 0}
        self._in_hand = 0
        self._open = Event()
        self._open.set()
        self._ended = Event()
        self._ending = False
        self._threads: list[GreenThread[None]] = []

    def start(self) -> None:
        """Begin to pump. Does not park."""
        for way, source, target in (
            ("forth", self._front, self._back),
            ("back", self._back, self._front),
        ):
            kinds = (source.getsockopt(zmq.TYPE), target.getsockopt(zmq.TYPE))
            if kinds[0] not in _SEND_ONLY and kinds[1] not in _RECEIVE_ONLY:
                self._threads.append(
                    spawn(self._move, way, source, target, name=f"{self._name} {way}")
                )
        if self._control is not None:
            spawn(self._obey, self._control, name=f"{self._name} control")

    def pause(self) -> None:
        """Let nothing through until `resume`; what comes waits in the sockets. Does not park."""
        self._open.clear()

    def resume(self) -> None:
        """Let through again. Does not park."""
        self._open.set()

    def terminate(self) -> None:
        """End, and close the sockets. Parks for a moment.

        A message in hand goes out if there is room for it now, else it is counted as dropped; what
        waits in the sockets' queues goes with them.
        """
        if self._ending:
            self._ended.wait()
            return
        self._ending = True
        for thread in self._threads:
            thread.cancel()
        for thread in self._threads:
            thread.join()
        for socket in (self._front, self._back, self._control):
            if socket is not None:
                socket.close()
        self._ended.set()

    def wait(self, timeout_s: float | None = None) -> bool:
        """Park until it has ended. Returns False after `timeout_s` seconds."""
        return self._ended.wait(timeout_s)

    def statistics(self) -> PumpStatistics:
        """What went through so far. Does not park."""
        return PumpStatistics(**self._counts, in_hand=self._in_hand, paused=not self._open.is_set())

    def _move(self, way: str, source: Socket, target: Socket) -> None:
        while True:
            try:
                parts = source.recv_multipart()
            except zmq.ZMQError:
                # The socket was closed under us, or its context.
                return
            size = sum(map(len, parts))
            self._in_hand += 1
            try:
                # Looked at with the message in hand: a receive that waits cannot be paused.
                self._open.wait()
                # Parks while the other side has no room: that is the back-pressure.
                target.send_multipart(parts)
            except zmq.ZMQError as exc:
                self._counts["dropped"] += 1
                if target.closed:
                    return
                _log.debug("%s dropped a message: %s", self._name, exc)
                continue
            except BaseException:
                self._let_go(way, target, parts, size)
                raise
            finally:
                self._in_hand -= 1
            self._counts[way] += 1
            self._counts[f"{way}_bytes"] += size

    def _let_go(self, way: str, target: Socket, parts: list[bytes], size: int) -> None:
        # Cancelled with a message in hand, none of it sent: ZeroMQ parks at a message's start only.
        try:
            target.send_multipart(parts, zmq.NOBLOCK)
        except zmq.ZMQError:
            self._counts["dropped"] += 1
        else:
            self._counts[way] += 1
            self._counts[f"{way}_bytes"] += size

    def _obey(self, control: Socket) -> None:
        answers = control.getsockopt(zmq.TYPE) == zmq.REP
        while True:
            try:
                command = b" ".join(control.recv_multipart())
            except zmq.ZMQError:
                return
            answer = b"OK"
            if command == b"PAUSE":
                self.pause()
            elif command == b"RESUME":
                self.resume()
            elif command == b"STATISTICS":
                answer = json.dumps(asdict(self.statistics())).encode()
            elif command != b"TERMINATE":
                self.rejected += 1
                answer = b"the commands are PAUSE, RESUME, TERMINATE and STATISTICS"
            if answers:
                with contextlib.suppress(zmq.ZMQError):
                    control.send(answer)
            if command == b"TERMINATE":
                self.terminate()
                return


def request_queue(
    context: Context,
    front: str,
    back: str,
    *,
    security: PortSecurity = None,
    waiting_max: int = WAITING_MAX,
    frame_bytes_max: int = FRAME_BYTES_MAX,
    control: Socket | None = None,
) -> Pump:
    """A broker: clients (REQ, DEALER) connect to `front`, workers (REP, ROUTER) to `back`.

    Binds both; `start()` begins. `waiting_max`: messages that wait per peer and direction.
    """
    return _pump(
        context, (zmq.ROUTER, front), (zmq.DEALER, back), security, waiting_max, frame_bytes_max,
        control, "request queue",
    )  # fmt: skip


def forwarder(
    context: Context,
    publishers: str,
    subscribers: str,
    *,
    security: PortSecurity = None,
    waiting_max: int = WAITING_MAX,
    frame_bytes_max: int = FRAME_BYTES_MAX,
    control: Socket | None = None,
) -> Pump:
    """Many to many: publishers connect to `publishers`, subscribers to `subscribers`.

    Binds both; `start()` begins. Subscriptions go upstream, so that nothing travels that nobody
    wants. A subscriber whose queue is full loses what comes, as with PUB.
    """
    return _pump(
        context, (zmq.XSUB, publishers), (zmq.XPUB, subscribers), security, waiting_max,
        frame_bytes_max, control, "forwarder",
    )  # fmt: skip


def _pump(
    context: Context,
    front: tuple[int, str],
    back: tuple[int, str],
    security: PortSecurity,
    waiting_max: int,
    frame_bytes_max: int,
    control: Socket | None,
    name: str,
) -> Pump:
    if waiting_max < 1:
        # ZeroMQ takes 0 for no bound at all.
        raise ValueError("a queue has room for one message at least: waiting_max must be 1 or more")
    options = {zmq.SNDHWM: waiting_max, zmq.RCVHWM: waiting_max}
    first = bound(context, *front, security, frame_bytes_max, options)
    try:
        second = bound(context, *back, security, frame_bytes_max, options)
    except BaseException:
        first.close(0)
        raise
    return Pump(first, second, control=control, name=name)
