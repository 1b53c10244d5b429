"""Socket: pyzmq's, whose waits park the green thread.

Place     zmq, on readiness. A subclass through pyzmq's own hooks, so its whole surface is there.
Promise   several green threads may send and receive on one socket: one of each at a time, the
          others in a fair line, a multipart message whole. An interrupted receive has taken no
          message, an interrupted send has sent none. Closing wakes everybody with ENOTSOCK.
          RCVTIMEO and SNDTIMEO are kept, 0 too.
Not here  the rule by which it waits (readiness.py); calls that need not wait (calls.py).

Every call tries first, without waiting: a socket under load never parks between messages, which is
why a long run of them yields to the others now and then.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar, cast

import zmq
from zmq.backend import Socket as _Raw

from verdant.core.originals import get_ident
from verdant.zmq.calls import Calls
from verdant.zmq.errors import WrongThread
from verdant.zmq.sharing import readiness_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from verdant.zmq.readiness import Readiness

__all__ = ["Socket", "WrongThread"]

T = TypeVar("T")
A = TypeVar("A", str, str | bytes)

# Characters of a part that is no buffer, in the error that says so.
SHOWN_MAX = 32

# Plain numbers and functions: looking them up in pyzmq's enumerations and classes costs more than
# anything else that is done here per message.
_NOBLOCK = int(zmq.NOBLOCK)
_SNDMORE = int(zmq.SNDMORE)
_MORE_NOBLOCK = _NOBLOCK | _SNDMORE
_EVENTS = int(zmq.EVENTS)
_TIMEOUTS = (int(zmq.RCVTIMEO), int(zmq.SNDTIMEO))
_recv = cast("Callable[..., Any]", _Raw.recv)
_send = cast("Callable[..., Any]", _Raw.send)


class Socket(Calls, zmq.Socket[bytes]):  # type: ignore[misc] # one signature for what pyzmq overloads
    """A ZeroMQ socket for green threads; constructor and calls as in pyzmq."""

    # Declared here because pyzmq takes an assignment to any other name for a socket option.
    _readiness: Readiness

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - pyzmq's own
        super().__init__(*args, **kwargs)
        self._readiness = readiness_of(self.underlying)

    # Receiving.

    def _recv_slowly(self, flags: int = 0, copy: bool = True, track: bool = False) -> Any:  # noqa: ANN401 - bytes or Frame
        return self._receive(lambda: _recv(self, _NOBLOCK, copy, track), flags)

    def _found_nothing(self) -> Any:  # noqa: ANN401 - bytes
        # A try has just failed: the next one comes after a look.
        self._readiness.hits = 0
        return self._receive(lambda: _recv(self, _NOBLOCK), 0)

    def recv_multipart(self, flags: int = 0, copy: bool = True, track: bool = False) -> Any:  # noqa: ANN401 - a list of bytes or of Frames
        """As pyzmq's. Parks until there is a message; takes all of it."""
        state = self._readiness
        if flags or not state.may_receive or get_ident() != state.ident:
            return self._receive(lambda: self._receive_parts(copy, track), flags)
        try:
            parts = self._receive_parts(copy, track)
        except zmq.Again:
            return self._receive(lambda: self._receive_parts(copy, track), flags)
        state.left -= 1
        if not state.left:
            state.settle()
        return parts

    def _receive_parts(self, copy: bool, track: bool) -> list[Any]:
        parts = [_recv(self, _NOBLOCK, copy, track)]
        # ZeroMQ delivers a message whole: the other parts are here.
        more = self._readiness.more
        while more():
            parts.append(_recv(self, _NOBLOCK, copy, track))
        return parts

    def recv_into(self, buffer: Any, /, *, nbytes: int = 0, flags: int = 0) -> int:  # noqa: ANN401 - any buffer
        """As pyzmq's. Parks until there is a message."""
        # Never without a first try, which is what finds fault with the buffer.
        return self._receive(
            lambda: _Raw.recv_into(self, buffer, nbytes=nbytes, flags=_NOBLOCK), flags, False
        )

    def _receive(self, attempt: Callable[[], T], flags: int, may_look_first: bool = True) -> T:
        state = self._readiness
        state.check()
        if flags & _NOBLOCK:
            try:
                state.asked = False
                return attempt()
            finally:
                state.settle()
        # In between the parts of a message nobody else gets a turn.
        if state.left <= 0 and not state.more():
            state.take_turns()
        result = state.run(state.receiving, attempt, may_look_first and state.expects_nothing_yet())
        state.asked = False
        return result

    # Sending.

    def _send_slowly(
        self,
        data: Any,  # noqa: ANN401 - any buffer, or a Frame
        flags: int = 0,
        copy: bool = True,
        track: bool = False,
        routing_id: int | None = None,
        group: str | None = None,
    ) -> zmq.MessageTracker | None:
        if routing_id is not None or group is not None:
            data = self._addressed(data, copy, track, routing_id, group)
        return self._send_part(data, flags, copy, track)

    def _send_again(self, data: Any) -> zmq.MessageTracker | None:  # noqa: ANN401 - any buffer, or a Frame
        return self._send_part(data, 0, True, False)

    def send_multipart(
        self,
        msg_parts: Sequence[Any],
        flags: int = 0,
        copy: bool = True,
        track: bool = False,
        **kwargs: Any,  # noqa: ANN401 - pyzmq's own, which ignores them too
    ) -> zmq.MessageTracker | None:
        """As pyzmq's. Parks while the message cannot be queued; another's parts never mix in."""
        for number, part in enumerate(msg_parts):
            if not isinstance(part, bytes | zmq.Frame | memoryview):
                _check_buffer(number, part)
        state = self._readiness
        if flags or not state.may_send or get_ident() != state.ident:
            return self._send_until(lambda: self._send_parts(msg_parts, flags, copy, track), flags)
        try:
            tracker = self._send_parts(msg_parts, flags, copy, track)
        except zmq.Again:
            return self._send_until(lambda: self._send_parts(msg_parts, flags, copy, track), flags)
        state.asked = True
        state.left -= 1
        if not state.left:
            state.settle()
        return tracker

    def _send_parts(
        self, parts: Sequence[Any], flags: int, copy: bool, track: bool
    ) -> zmq.MessageTracker | None:
        more, last = flags | _MORE_NOBLOCK, flags | _NOBLOCK
        count = len(parts)
        if count > 1:
            _send(self, parts[0], more, copy, track)
            for part in parts[1:-1]:
                self._send_next(part, more, copy, track)
            return self._send_next(parts[-1], last, copy, track)
        return cast("zmq.MessageTracker | None", _send(self, parts[-1], last, copy, track))

    def _send_next(
        self,
        part: Any,  # noqa: ANN401 - any buffer, or a Frame
        flags: int,
        copy: bool,
        track: bool,
    ) -> zmq.MessageTracker | None:
        try:
            return cast("zmq.MessageTracker | None", _send(self, part, flags, copy, track))
        except zmq.Again:
            # The peer that took the first part is gone, and the message with it. libzmq drops the
            # rest when it may block; without that, trying again would send the rest as a message.
            return None

    def _send_part(
        self,
        data: Any,  # noqa: ANN401 - any buffer, or a Frame
        flags: int,
        copy: bool,
        track: bool,
    ) -> zmq.MessageTracker | None:
        state = self._readiness
        try:
            tracker = self._send_until(
                lambda: _send(self, data, flags | _NOBLOCK, copy, track), flags
            )
        except zmq.Again:
            unfinished, state.unfinished = state.unfinished, False
            state.settle()
            if unfinished and not flags & _NOBLOCK:
                # As in `_send_next`.
                state.unfinished = bool(flags & _SNDMORE)
                return None
            raise
        state.unfinished = bool(flags & _SNDMORE)
        if flags or not state.may_send:
            state.settle()
        return cast("zmq.MessageTracker | None", tracker)

    def _send_until(self, attempt: Callable[[], T], flags: int) -> T:
        state = self._readiness
        state.check()
        if flags & _NOBLOCK:
            try:
                return attempt()
            finally:
                state.settle()
        if state.left <= 0 and not state.unfinished:
            state.take_turns()
        result = state.run(state.sending, attempt)
        state.asked = True
        return result

    def _addressed(
        self,
        data: Any,  # noqa: ANN401 - any buffer, or a Frame
        copy: bool,
        track: bool,
        routing_id: int | None,
        group: str | None,
    ) -> zmq.Frame:
        # libzmq's draft sockets address a message by properties of its frame.
        if not isinstance(data, zmq.Frame):
            data = zmq.Frame(
                data, track=track, copy=copy or None, copy_threshold=self.copy_threshold
            )
        if routing_id is not None:
            data.routing_id = routing_id
        if group is not None:
            data.group = group
        return cast("zmq.Frame", data)

    # State. Each of these calls may take the descriptor's edge away, so each looks again.

    def get(self, option: int) -> Any:  # noqa: ANN401 - int, bytes or str
        """As pyzmq's; reading EVENTS wakes whoever it is news for. Does not park."""
        if option == _EVENTS:
            self._readiness.check()
            return zmq.PollEvent(self._readiness.events())
        return super().get(option)

    getsockopt = get

    def set(self, option: int, optval: Any) -> None:  # noqa: ANN401 - int, bytes or str
        """As pyzmq's. Does not park."""
        super().set(option, optval)
        if option in _TIMEOUTS:
            # Asked for again at the next wait.
            self._readiness.receiving.timeout_ms = None
            self._readiness.sending.timeout_ms = None
            self._readiness.may_wait = False

    setsockopt = set  # noqa: A003 - pyzmq's name

    def bind(self, addr: str) -> Any:  # noqa: ANN401 - pyzmq's context manager
        """As pyzmq's. Does not park."""
        return self._then_look(super().bind, addr)

    def connect(self, addr: str) -> Any:  # noqa: ANN401 - pyzmq's context manager
        """As pyzmq's. Does not park."""
        return self._then_look(super().connect, addr)

    def unbind(self, addr: str | bytes) -> None:
        """As pyzmq's. Does not park."""
        self._then_look(super().unbind, addr)

    def disconnect(self, addr: str | bytes) -> None:
        """As pyzmq's. Does not park."""
        self._then_look(super().disconnect, addr)

    def _then_look(self, call: Callable[[A], T], addr: A) -> T:
        state = self._readiness
        if state.ident:
            state.check()
        try:
            return call(addr)
        finally:
            state.settle()

    def close(self, linger: int | None = None) -> None:
        """As pyzmq's; everybody who waits gets ENOTSOCK. Does not park.

        In another native thread than the socket's own it is closed by that thread's hub, soon.
        """
        state: Readiness | None = self.__dict__.get("_readiness")
        if state is None or state.closed:
            super().close(linger)
        elif state.is_used_elsewhere():
            if linger is not None:
                super().set(zmq.LINGER, linger)
            state.hub.run_soon_threadsafe(self.close)
        else:
            # Before the socket goes: its descriptor's number may come round again at once.
            state.close()
            super().close(linger)
            state.wake_everybody()


def _check_buffer(number: int, part: object) -> None:
    # As pyzmq does: before the first part is sent, or half a message would be.
    try:
        memoryview(part)  # type: ignore[arg-type] # that is the question
    except TypeError:
        shown = repr(part)
        if len(shown) > SHOWN_MAX:
            shown = shown[:SHOWN_MAX] + "..."
        raise TypeError(
            f"Frame {number} ({shown}) does not support the buffer interface."
        ) from None
