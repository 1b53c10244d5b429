"""Connection: one server as a client sees it, and the calls that are under way there.

Place     zmq; client.py has one for each server.
Promise   an answer reaches the call whose number it bears, or nobody: a late one is counted and
          dropped. When the server is lost, every call under way there hears of it at once. Nothing
          is sent to a server that is not connected, so no call lies in a queue until a server comes
          back to run it long after its caller has gone.
Not here  which server to ask, and what to do after a loss (client.py, failover.py).

How a loss is noticed: the kernel says so when the peer's process ends; ZeroMQ's own heartbeats
notice a machine or a network that fell silent; a ping of ours (heartbeat.py) a process that lives
and does nothing. All but the last come as events of the socket's monitor, in order.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import zmq
from zmq.utils.monitor import parse_monitor_message

from verdant.core import TimedOut, Timeout, WaitQueue, current_hub, monotonic, sleep, spawn
from verdant.zmq import envelope as wire_form
from verdant.zmq.failover import Standing
from verdant.zmq.wire import look, receive_now, send_now

if TYPE_CHECKING:
    from collections.abc import Callable

    from verdant.zmq.context import Context
    from verdant.zmq.socket import Socket

__all__ = ["CHANGED", "CLOSED", "LOST", "Call", "Connection", "News"]

# Answers in a row before others run.
RECEIVED_PER_TURN = 64

# A server that restarts is found again after the first of these, one that is away for long after
# the second.
RECONNECT_IVL_MS = 50
RECONNECT_IVL_MAX_MS = 1000

# News of a call that are not on the wire.
LOST = b"lost"
CHANGED = b"changed"
CLOSED = b"closed"

_EVENTS = (
    zmq.EVENT_HANDSHAKE_SUCCEEDED
    | zmq.EVENT_DISCONNECTED
    | zmq.EVENT_CLOSED
    | zmq.EVENT_HANDSHAKE_FAILED_AUTH
    | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
    | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
)

# From whom, what kind (envelope.py's, or one of these), and the body.
News = tuple["Connection | None", bytes, list[bytes]]


class Call:
    """One question and what is heard of it. Its caller alone waits for the news."""

    __slots__ = ("_line", "_news", "message", "number")

    def __init__(self, number: bytes, body: list[bytes]) -> None:
        self.number = number
        self.message = [wire_form.make_tag(wire_form.CALL, number), b"", *body]
        self._news: deque[News] = deque()
        self._line = WaitQueue()

    def tell(self, source: Connection | None, kind: bytes, body: list[bytes]) -> None:
        """Something became of it. Does not park."""
        self._news.append((source, kind, body))
        self._line.wake_one()

    def news(self, timeout_s: float) -> News | None:
        """The next news, or None: there was none within `timeout_s`. Parks."""
        if not self._news:
            try:
                # Woken by tell().
                self._line.wait(max(0.0, timeout_s))
            except TimedOut as exc:
                # A Timeout scope around us is somebody else's bound.
                if isinstance(exc, Timeout):
                    raise
        return self._news.popleft() if self._news else None


class Connection:
    """A server at `endpoint`. `came_up` is called when it can be asked (again).

    server_lost_s: a silent peer counts as lost after so many seconds. options: more socket options,
    set before connecting.
    """

    def __init__(
        self,
        context: Context,
        endpoint: str,
        came_up: Callable[[], None],
        *,
        calls_max: int,
        server_lost_s: float,
        options: dict[int, int | bytes],
    ) -> None:
        self.endpoint = endpoint
        self.under_way: dict[bytes, Call] = {}
        # inproc has no events: there the peer is this very process.
        self.up = endpoint.startswith("inproc://")
        self.count = 0
        self.trouble = ""
        # True once it has shown that it knows tags, and so pings.
        self.is_service = False
        self.heard_at = monotonic()
        self.late = 0
        self._came_up = came_up
        self._hub = current_hub()
        self._look_due = False
        half_ms = max(1, round(server_lost_s * 500))
        self.socket: Socket = context.socket(zmq.DEALER)
        for option, value in {
            # Only to a peer that is there; a queue for an absent one would be run when it is back.
            zmq.IMMEDIATE: 1,
            zmq.SNDHWM: calls_max,
            zmq.HEARTBEAT_IVL: half_ms,
            zmq.HEARTBEAT_TIMEOUT: half_ms,
            zmq.CONNECT_TIMEOUT: 2 * half_ms,
            zmq.RECONNECT_IVL: RECONNECT_IVL_MS,
            zmq.RECONNECT_IVL_MAX: RECONNECT_IVL_MAX_MS,
            **options,
        }.items():
            self.socket.set(option, value)
        self._monitor: Socket | None = None
        self._threads = []
        if not self.up:
            self._monitor = self.socket.get_monitor_socket(_EVENTS)
            self._threads.append(spawn(self._watch, self._monitor, name=f"watch {endpoint}"))
        self.socket.connect(endpoint)
        self._threads.append(spawn(self._read, name=f"answers of {endpoint}"))

    @property
    def standing(self) -> Standing:
        """How it stands now."""
        return Standing(self.endpoint, self.up, self.count, len(self.under_way), self.trouble)

    def send(self, call: Call) -> bool:
        """Send a call, unless there is no room for it now (False). Does not park."""
        if not self.send_now(call.message):
            return False
        if not self.under_way:
            # From here on its silence means something.
            self.heard_at = monotonic()
        self.under_way[call.number] = call
        return True

    def send_now(self, message: list[bytes]) -> bool:
        """Send a message, unless there is no room for it now (False). Does not park."""
        try:
            send_now(self.socket, message)
        except zmq.Again:
            return False
        finally:
            self._look_soon()
        return True

    def forget(self, call: Call) -> None:
        """Its caller has gone: what comes for it now is late. Does not park."""
        self.under_way.pop(call.number, None)

    def lose(self, why: str) -> None:
        """The server is lost: tell every call under way. Does not park."""
        # What it said before it went is here already.
        self.take_all()
        self.up = False
        self.trouble = why
        lost, self.under_way = self.under_way, {}
        for call in lost.values():
            call.tell(self, LOST, [why.encode()])

    def rise(self) -> None:
        """The server can be asked. Does not park."""
        if not self.up:
            self.up = True
            self.count += 1
            self.trouble = ""
            self.heard_at = monotonic()
            self._came_up()

    def close(self) -> None:
        """End it. Parks until its green threads have ended."""
        for thread in self._threads:
            thread.cancel()
        for thread in self._threads:
            thread.join()
        if self._monitor is not None:
            self.socket.disable_monitor()
            self._monitor.close(0)
        # Nobody waits for an answer any more.
        self.socket.close(0)

    def _look_soon(self) -> None:
        # Ours may have eaten the edge that the reader waits for. Once per turn is enough: the hub
        # looks before it polls.
        if not self._look_due:
            self._look_due = True
            self._hub.run_soon(self._look)

    def _look(self) -> None:
        self._look_due = False
        if not self.socket.closed:
            look(self.socket)

    # Hearing.

    def _read(self) -> None:
        while True:
            try:
                self._take(self.socket.recv_multipart())
                self._take_some()
            except zmq.ZMQError as exc:
                if exc.errno in (zmq.ENOTSOCK, zmq.ETERM):
                    return
                raise
            sleep(0)

    def take_all(self) -> None:
        """Take what is here already. Does not park."""
        while self._take_some():
            pass
        self._look_soon()

    def _take_some(self) -> bool:
        # False when nothing is left, or the reader has to see what is wrong.
        try:
            for _ in range(RECEIVED_PER_TURN):
                self._take(receive_now(self.socket))
        except zmq.ZMQError:
            return False
        return True

    def _take(self, parts: list[bytes]) -> None:
        self.heard_at = monotonic()
        end = wire_form.split(parts)
        tag = wire_form.read_tag(parts[end - 1]) if end > 0 else None
        if tag is None:
            self.late += 1
            return
        kind = tag.kind
        if kind == wire_form.CALL:
            # A plain REP, which gives the tag back as it got it.
            kind = wire_form.ANSWER
        else:
            self.is_service = True
            if kind == wire_form.PONG:
                if not self.up:
                    self.rise()
                return
        call = self.under_way.pop(tag.number, None)
        if call is None:
            self.late += 1
        else:
            call.tell(self, kind, parts[end + 1 :])

    def _watch(self, monitor: Socket) -> None:
        while True:
            try:
                event = parse_monitor_message(monitor.recv_multipart())["event"]
            except zmq.ZMQError as exc:
                if exc.errno in (zmq.ENOTSOCK, zmq.ETERM):
                    return
                raise
            if event == zmq.EVENT_HANDSHAKE_SUCCEEDED:
                self.rise()
            elif event == zmq.EVENT_DISCONNECTED:
                self.lose("was lost")
            elif event == zmq.EVENT_HANDSHAKE_FAILED_AUTH:
                self.trouble = "refuses us: authentication failed"
            elif event == zmq.EVENT_CLOSED:
                self.trouble = self.trouble or "cannot be connected to"
            else:
                self.trouble = "is no ZeroMQ peer, or one with another kind of security"
