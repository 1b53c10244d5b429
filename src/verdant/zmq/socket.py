"""Socket: pyzmq's, whose waits park the green thread.

Place     zmq, on readiness. A subclass through pyzmq's own hooks, so its whole surface is there.
Promise   several green threads may send and receive on one socket: one of each at a time, the
          others in a fair line, a multipart message whole. An interrupted receive has taken no
          message. Closing wakes everybody with ENOTSOCK. RCVTIMEO and SNDTIMEO are kept, 0 too.
Not here  the rule by which it waits (readiness.py).

Every call tries first, without waiting: a socket under load never parks between messages, which is
why a long run of them yields to the others now and then.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, TypeVar, cast

import zmq

from verdant.core import TimedOut, monotonic, sleep
from verdant.errors import VerdantError
from verdant.sync import Lock
from verdant.zmq.readiness import Readiness

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from verdant.core import WaitQueue

__all__ = ["Socket", "WrongThread"]

# Messages in a row before others run: some 100 µs of work, well below what anybody notices.
MESSAGES_PER_TURN = 64

T = TypeVar("T")


class WrongThread(VerdantError):
    """Raised when a socket is used in another native thread than the one that made it.

    The caller's fault: ZeroMQ's sockets are not thread safe. Send to an inproc socket instead.
    """

    code = "zmq-wrong-thread"


class Socket(zmq.Socket[bytes]):
    """A ZeroMQ socket for green threads; constructor and calls as in pyzmq."""

    # Declared here because pyzmq takes an assignment to any other name for a socket option.
    _readiness: Readiness | None = None
    _receiving: Lock | None = None
    _sending: Lock | None = None
    _thread_ident: int = 0
    _in_a_row: int = 0

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - pyzmq's own
        super().__init__(*args, **kwargs)
        self._receiving = Lock()
        self._sending = Lock()
        self._thread_ident = threading.get_ident()
        self._readiness = Readiness(cast("int", super().get(zmq.FD)), self._read_events)

    def _read_events(self) -> int:
        return cast("int", super().get(zmq.EVENTS))

    def _ready(self) -> Readiness:
        readiness = self._readiness
        if readiness is None or self.closed:
            raise zmq.ZMQError(zmq.ENOTSOCK)
        if readiness.hub.thread_ident != threading.get_ident():
            raise WrongThread(
                "this ZeroMQ socket belongs to another native thread: make one here, and join "
                "them over inproc"
            )
        return readiness

    def _look_again(self) -> None:
        readiness = self._readiness
        if readiness is not None and readiness.waited_for() and not self.closed:
            readiness.look()

    def _try_until(
        self, attempt: Callable[[], T], line: WaitQueue, event: int, timeout_option: int
    ) -> T:
        """Run `attempt` until it does not say EAGAIN. Parks in between."""
        readiness = self._ready()
        deadline: float | None = None
        while True:
            try:
                result = attempt()
            except zmq.Again:
                if self.closed:
                    raise zmq.ZMQError(zmq.ENOTSOCK) from None
            else:
                self._look_again()
                return result
            # The failed call may have eaten the edge: look before parking.
            if readiness.look() & event:
                continue
            if deadline is None:
                timeout_ms = cast("int", super().get(timeout_option))
                if timeout_ms == 0:
                    raise zmq.Again
                deadline = -1.0 if timeout_ms < 0 else monotonic() + timeout_ms / 1000
            self._in_a_row = 0
            self._park(line, deadline)

    @staticmethod
    def _park(line: WaitQueue, deadline: float) -> None:
        if deadline < 0:
            # Woken by readiness.look(), or by close().
            line.wait()
            return
        try:
            line.wait(max(0.0, deadline - monotonic()))
        except TimedOut as exc:
            # A Timeout scope raises itself, a subclass: that is the caller's bound.
            if type(exc) is not TimedOut:
                raise
            raise zmq.Again from None

    def _take_turns(self) -> None:
        self._in_a_row += 1
        if self._in_a_row >= MESSAGES_PER_TURN:
            self._in_a_row = 0
            sleep(0)

    # Receiving.

    def recv(self, flags: int = 0, copy: bool = True, track: bool = False) -> Any:  # noqa: ANN401 - bytes or Frame
        """As pyzmq's. Parks until there is a message."""
        return self._receive(lambda: zmq.Socket.recv(self, zmq.NOBLOCK, copy, track), flags)

    def recv_multipart(self, flags: int = 0, copy: bool = True, track: bool = False) -> Any:  # noqa: ANN401 - a list of bytes or of Frames
        """As pyzmq's. Parks until there is a message; takes all of it."""

        def receive_all() -> list[Any]:
            parts = [zmq.Socket.recv(self, zmq.NOBLOCK, copy, track)]
            # ZeroMQ delivers a message whole: the other parts are here.
            while zmq.Socket.get(self, zmq.RCVMORE):
                parts.append(zmq.Socket.recv(self, zmq.NOBLOCK, copy, track))
            return parts

        return self._receive(receive_all, flags)

    def recv_into(self, buffer: Any, /, **kwargs: Any) -> int:  # noqa: ANN401 - pyzmq's own
        """As pyzmq's. Parks until there is a message."""
        flags = kwargs.pop("flags", 0)
        return self._receive(
            lambda: zmq.Socket.recv_into(self, buffer, flags=zmq.NOBLOCK, **kwargs), flags
        )

    def _receive(self, attempt: Callable[[], T], flags: int) -> T:
        readiness = self._ready()
        if flags & zmq.NOBLOCK:
            try:
                return attempt()
            finally:
                self._look_again()
        self._take_turns()
        with cast("Lock", self._receiving):
            return self._try_until(attempt, readiness.receivers, zmq.POLLIN, zmq.RCVTIMEO)

    # Sending.

    def send(  # type: ignore[override] # one signature for what pyzmq overloads
        self,
        data: Any,  # noqa: ANN401 - any buffer, or a Frame
        flags: int = 0,
        copy: bool = True,
        track: bool = False,
        routing_id: int | None = None,
        group: str | None = None,
    ) -> zmq.MessageTracker | None:
        """As pyzmq's. Parks while the message cannot be queued."""
        readiness = self._ready()

        def attempt() -> zmq.MessageTracker | None:
            sent = zmq.Socket.send(
                self,
                data,
                flags=flags | zmq.NOBLOCK,
                copy=copy,
                track=track,
                routing_id=routing_id,
                group=group,
            )
            return cast("zmq.MessageTracker | None", sent)

        if flags & zmq.NOBLOCK:
            try:
                return attempt()
            finally:
                self._look_again()
        return self._try_until(attempt, readiness.senders, zmq.POLLOUT, zmq.SNDTIMEO)

    def send_multipart(
        self,
        msg_parts: Sequence[Any],
        flags: int = 0,
        copy: bool = True,
        track: bool = False,
        **kwargs: Any,  # noqa: ANN401 - pyzmq's own
    ) -> Any:  # noqa: ANN401 - pyzmq's own
        """As pyzmq's. Parks while the message cannot be queued; another's parts never mix in."""
        self._ready()
        if flags & zmq.NOBLOCK:
            return super().send_multipart(msg_parts, flags, copy, track, **kwargs)
        self._take_turns()
        with cast("Lock", self._sending):
            return super().send_multipart(msg_parts, flags, copy, track, **kwargs)

    # State.

    def get(self, option: int) -> Any:  # noqa: ANN401 - int, bytes or str
        """As pyzmq's; reading EVENTS wakes whoever it was the news for. Does not park."""
        if option == zmq.EVENTS and self._readiness is not None and not self.closed:
            return zmq.Event(self._readiness.look())
        return super().get(option)

    getsockopt = get

    def close(self, linger: int | None = None) -> None:
        """As pyzmq's; everybody who waits gets ENOTSOCK. Does not park."""
        readiness, self._readiness = self._readiness, None
        if readiness is not None:
            # Before the socket goes: its descriptor's number may come round again at once.
            readiness.close()
        super().close(linger)
        if readiness is not None:
            readiness.wake_everybody()
