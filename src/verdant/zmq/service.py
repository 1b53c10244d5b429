"""Service: a function that answers calls, a green thread for each.

Place     zmq; `zmq_loop` (loop.py) makes these, connection.py is the other end.
Promise   every call that was received gets one answer, or one error, or ends with its client:
          what a handler raises is answered and reported, and touches no other call. At most
          `calls_max` are under way; beyond that the loop stops receiving, ZeroMQ's queues fill and
          the senders wait. `stop(grace_s)` begins nothing more, says so to those who ask (they can
          safely go elsewhere), and lets what is under way end.
Not here  what a request means (form.py), how it is framed (envelope.py), workers in other
          processes: several services connect to one broker (`connect=True`).

    receive until EAGAIN ──▶ a green thread per call ──▶ outbox ──▶ flush: send all, look once

Answers go out in one place (outbox.py), so no handler ever waits for another's send.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import zmq

from verdant.core import (
    GreenThread,
    TimedOut,
    Timeout,
    WaitQueue,
    current_thread,
    monotonic,
    sleep,
    spawn,
)
from verdant.errors import Busy
from verdant.sync import Event
from verdant.zmq import envelope as wire_form
from verdant.zmq.context import Context
from verdant.zmq.form import Encoding, form_of
from verdant.zmq.outbox import Outbox
from verdant.zmq.service_errors import CallFailed, CallRefused
from verdant.zmq.wire import endpoint_of, receive_now

if TYPE_CHECKING:
    from collections.abc import Callable

    from verdant.zmq.socket import Socket

__all__ = ["CALLS_MAX_DEFAULT", "REQUEST_BYTES_MAX_DEFAULT", "Service"]

# Each call under way has a green thread, some 10 KiB with its stack.
CALLS_MAX_DEFAULT = 1000

# Of one frame. ZeroMQ ends the connection of whoever sends a larger one, before it is in memory.
REQUEST_BYTES_MAX_DEFAULT = 64 * 1024 * 1024

# Messages received in a row before handlers run: some 200 µs of work.
RECEIVED_PER_TURN = 64

# A client whose machine vanished is forgotten after the second of these.
HEARTBEAT_IVL_MS = 10_000
HEARTBEAT_TIMEOUT_MS = 30_000

# ZeroMQ's own thread closes a listener within microseconds; on no account is it waited for longer.
UNBIND_S_MAX = 1.0
# Between the last answer and the close, seconds. A client with ZMQ_IMMEDIATE drops what it has not
# read yet when its connection ends: a busy one needs a moment.
LAST_WORDS_S = 0.1

# A stopped service waits so long for its last answers to leave.
LINGER_MS = 1000

_log = logging.getLogger("verdant.zmq")


class Service:
    """Serves calls with `handle`, which it also is: calling it calls the plain function.

    handle: takes a request and gives an answer; what it is given goes by its annotations, or by
    `takes` and `gives` (form.py). socket_type: ROUTER (XREP) to bind for clients, or DEALER (XREQ)
    to connect to a broker. place: a port on 127.0.0.1, or a ZeroMQ endpoint. calls_max: as many
    calls are under way at once. connect: connect to `place` instead of binding it. context: the
    ZeroMQ context, `Context.instance()` when left out.
    """

    def __init__(
        self,
        handle: Callable[..., Any],
        socket_type: int,
        place: int | str,
        *,
        calls_max: int = CALLS_MAX_DEFAULT,
        request_bytes_max: int = REQUEST_BYTES_MAX_DEFAULT,
        connect: bool = False,
        takes: Any = None,  # noqa: ANN401 - a type
        gives: Any = None,  # noqa: ANN401 - a type
        encoding: Encoding = "json",
        options: dict[int, int | bytes] | None = None,
        context: Context | None = None,
        name: str | None = None,
    ) -> None:
        if socket_type not in (zmq.ROUTER, zmq.DEALER):
            raise ValueError("a service's socket is a ROUTER (XREP), or a DEALER (XREQ)")
        if calls_max < 1:
            raise ValueError(f"calls_max is {calls_max}: a service needs at least 1")
        self._handle = handle
        self.name = name or getattr(handle, "__name__", None) or type(handle).__name__
        self.calls_max = calls_max
        # Messages that were no calls, and answers that their client did not take.
        self.malformed = 0
        self.undelivered = 0
        self.stopping = False
        self._call = form_of(handle, takes=takes, gives=gives, encoding=encoding)
        self._socket_type = socket_type
        self._place = endpoint_of(place)
        self._request_bytes_max = request_bytes_max
        self._connect = connect
        self._options = options or {}
        self._context = context
        self._endpoint: str | None = None
        self._socket: Socket | None = None
        self._receiver: GreenThread[None] | None = None
        # Received and not answered, pings and refusals included.
        self._active = 0
        self._under_way: dict[GreenThread[None], list[bytes]] = {}
        self._outbox: Outbox | None = None
        self._room = WaitQueue()
        self._idle = WaitQueue()
        self._stopped = Event()

    def __call__(self, request: Any) -> Any:  # noqa: ANN401 - the handler's own
        """The plain function, in the caller's green thread: no socket, no encoding."""
        return self._handle(request)

    @property
    def endpoint(self) -> str:
        """Where it listens, with the port that a wildcard became; before `start()`, what was given.

        Does not park.
        """
        return self._endpoint or self._place

    @property
    def calls(self) -> int:
        """How many calls are under way."""
        return len(self._under_way)

    def start(self) -> None:
        """Listen, and serve in green threads of its own. Does not park.

        Raises `Busy` when it serves already, `zmq.ZMQError` when the endpoint cannot be had.
        """
        if self._socket is not None:
            raise Busy(f"the service {self.name} at {self.endpoint} is started already")
        socket = (self._context or Context.instance()).socket(self._socket_type)
        try:
            for option, value in {
                zmq.MAXMSGSIZE: self._request_bytes_max,
                zmq.HEARTBEAT_IVL: HEARTBEAT_IVL_MS,
                zmq.HEARTBEAT_TIMEOUT: HEARTBEAT_TIMEOUT_MS,
                **self._options,
            }.items():
                socket.set(option, value)
            if self._socket_type == zmq.ROUTER:
                # Else an answer for a client whose queue is full would vanish silently.
                socket.set(zmq.ROUTER_MANDATORY, 1)
            if self._connect:
                socket.connect(self._place)
                self._endpoint = self._place
            else:
                socket.bind(self._place)
                self._endpoint = socket.get(zmq.LAST_ENDPOINT).rstrip(b"\0").decode()
        except BaseException:
            socket.close(0)
            raise
        self.stopping = False
        self._stopped.clear()
        self._socket = socket
        self._outbox = Outbox(socket, self._ended)
        self._receiver = spawn(self._receive, socket, name=f"{self.name} receiver")

    def run(self, *, grace_s: float = 0.0) -> None:
        """Serve until `stop()` is called elsewhere. Parks.

        Interrupted (Ctrl-C, `cancel()`, a `Timeout`), it stops with `grace_s` seconds of grace.
        """
        if self._socket is None:
            self.start()
        try:
            self._stopped.wait()
        finally:
            self.stop(grace_s)

    def stop(self, grace_s: float = 0.0) -> int:
        """Begin nothing more, wait `grace_s` seconds for what is under way, cancel the rest.

        Returns how many calls were cancelled; they are answered with an error. A request that
        arrives meanwhile is told that it was not begun. Parks. A handler that calls this is not
        waited for: its answer is lost.
        """
        socket = self._socket
        if socket is None or self.stopping:
            self._stopped.wait() if self.stopping else self._stopped.set()
            return 0
        self.stopping = True
        # A receiver that waits for room has none to wait for any more: it refuses.
        self._room.wake_all()
        me = current_thread()
        deadline = monotonic() + grace_s
        while any(thread is not me for thread in self._under_way):
            left_s = deadline - monotonic()
            if left_s <= 0:
                break
            try:
                self._idle.wait(left_s)
            except TimedOut as exc:
                if isinstance(exc, Timeout):
                    raise
        broken = [thread for thread in self._under_way if thread is not me]
        for thread in broken:
            thread.cancel()
        for thread in broken:
            thread.join()
            never_begun = self._under_way.pop(thread, None)
            if never_begun is not None:
                self._refuse(never_begun)
        # Requests are still refused while the last answers are read.
        sleep(LAST_WORDS_S)
        self._close(socket)
        return len(broken)

    def _unbind(self, socket: Socket) -> None:
        # So that whoever listens next finds the place free: the listener is closed in ZeroMQ's own
        # thread, whose word we wait for. Not earlier: its connections go with it.
        if self.endpoint.startswith("inproc://"):
            socket.unbind(self.endpoint)
            return
        monitor = socket.get_monitor_socket(zmq.EVENT_CLOSED)
        try:
            socket.unbind(self.endpoint)
            with Timeout(UNBIND_S_MAX, False):
                monitor.recv_multipart()
        finally:
            socket.disable_monitor()
            monitor.close(0)

    def _close(self, socket: Socket) -> None:
        if self._receiver is not None:
            self._receiver.cancel()
            self._receiver.join()
        # What arrived in the last moment.
        while True:
            try:
                parts = receive_now(socket)
            except zmq.ZMQError:
                break
            self._take(parts)
        if self._outbox is not None:
            self._outbox.flush()
        self._socket = None
        if not self._connect:
            self._unbind(socket)
        socket.close(LINGER_MS)
        self._stopped.set()

    # Receiving.

    def _receive(self, socket: Socket) -> None:
        while True:
            while self._active >= self.calls_max and not self.stopping:
                # Woken by _ended(), one answer later, or by stop().
                self._room.wait()
            try:
                self._take(socket.recv_multipart())
                if self._active == 1:
                    # One call at a time: there is hardly a second message to look for.
                    continue
                for _ in range(RECEIVED_PER_TURN):
                    if self._active >= self.calls_max and not self.stopping:
                        break
                    self._take(receive_now(socket))
                else:
                    sleep(0)
            except zmq.Again:
                continue
            except zmq.ZMQError as exc:
                if exc.errno not in (zmq.ENOTSOCK, zmq.ETERM):
                    raise
                # Its context went away.
                return

    def _take(self, parts: list[bytes]) -> None:
        end = wire_form.split(parts)
        # A peer's name comes first, and a message without an empty frame has no place to answer to.
        if end < 1:
            self.malformed += 1
            _log.debug("%s at %s got a message that is no call", self.name, self.endpoint)
            return
        self._active += 1
        if wire_form.kind_of(parts[end - 1]) == wire_form.PING:
            self._post([*wire_form.retagged(parts[:end], wire_form.PONG), b""])
        elif self.stopping:
            self._refuse(parts)
        else:
            thread: GreenThread[None] = spawn(self._serve, parts, end, name=self.name)
            self._under_way[thread] = parts

    def _refuse(self, parts: list[bytes]) -> None:
        envelope = parts[: wire_form.split(parts)]
        text = f"{self.name} at {self.endpoint} is stopping and did not begin this call"
        self._post(wire_form.error_parts(envelope, wire_form.NOT_BEGUN, wire_form.STOPPING, text))

    # One call, in its own green thread.

    def _serve(self, parts: list[bytes], end: int) -> None:
        envelope = parts[:end]
        try:
            reply = wire_form.answer_parts(envelope, self._call(parts[end + 1 :]))
        except CallRefused as exc:
            reply = self._error(envelope, exc.code, str(exc))
        except Exception as exc:  # noqa: BLE001 - one handler's bug must not end the service; it is told
            self._report(parts, end)
            reply = self._error(envelope, CallFailed.code, f"{type(exc).__name__}: {exc}")
        except BaseException:
            # stop() ran out of grace, or the program ends.
            reply = self._error(
                envelope, wire_form.STOPPING, f"{self.name} stopped during this call"
            )
            self._finish(reply)
            raise
        self._finish(reply)

    def _finish(self, reply: list[bytes]) -> None:
        self._under_way.pop(current_thread(), None)  # type: ignore[call-overload] # a green thread
        if self.stopping:
            self._idle.wake_all()
        self._post(reply)
        if not self._under_way and self._outbox is not None:
            # Nobody is left to share the flush with, so it need not wait for the hub's next turn.
            self._outbox.flush()

    @staticmethod
    def _error(envelope: list[bytes], code: str, text: str) -> list[bytes]:
        return wire_form.error_parts(envelope, wire_form.ERROR, code, text)

    def _report(self, parts: list[bytes], end: int) -> None:
        tag = wire_form.read_tag(parts[end - 1])
        _log.exception(
            "the handler %s at %s failed in call %s of the client %s (%d bytes)",
            self.name,
            self.endpoint,
            "-" if tag is None else tag.number.hex(),
            parts[0].hex(),
            sum(map(len, parts[end + 1 :])),
        )

    # Sending.

    def _post(self, reply: list[bytes]) -> None:
        if self._outbox is not None:
            self._outbox.post(reply)

    def _ended(self, lost: zmq.ZMQError | None) -> None:
        # An answer left, or was lost. Called in the hub.
        if lost is not None:
            self.undelivered += 1
            _log.debug("an answer of %s at %s was lost: %s", self.name, self.endpoint, lost)
        self._active -= 1
        self._room.wake_one()
