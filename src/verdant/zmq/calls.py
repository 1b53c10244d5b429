"""Calls: a receive and a send that meet nobody else, in Python; and the choice of the accelerator.

Place     zmq, the base of socket.py and readiness.py.
Promise   one try without waiting, and if it does no more than that, next to nothing on top of what
          pyzmq takes. `_speedups.c` does the same with the same outcome; where it was not built, or
          with VERDANT_PURE=1 in the environment, this file does the work and nothing is missing.
Not here  every other case: flags, waits, other threads (socket.py, by the four methods that are
          only declared here).
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any, cast

import zmq
from zmq.backend import Socket as _Raw

from verdant.core.originals import get_ident
from verdant.zmq.options import getsockopt_address
from verdant.zmq.side import CALLS_PER_TURN, HITS_UNTIL_SURE

if TYPE_CHECKING:
    from collections.abc import Callable

    from verdant.core import FdWatch, Parkable

__all__ = ["Calls", "PureCalls", "PureTurns", "Turns"]

# Plain numbers and functions: looking them up in pyzmq's enumerations and classes costs more than
# anything else that is done here per message.
_NOBLOCK = int(zmq.NOBLOCK)
_recv = cast("Callable[..., Any]", _Raw.recv)
_send = cast("Callable[..., Any]", _Raw.send)


class PureTurns:
    """What a call looks at. `left`: calls until others get a turn; `ident`: of the native thread.

    `asked`: a send came after the last receive. `hits`: receives that found a message at once since
    the last wait. `may_wait` and `alone` are for the accelerator, which can wait as well.
    """

    __slots__ = (
        "address",
        "alone",
        "alternates",
        "asked",
        "hits",
        "ident",
        "left",
        "may_receive",
        "may_send",
        "may_wait",
        "watch",
    )

    address: int
    alone: Parkable | None
    alternates: bool
    asked: bool
    hits: int
    ident: int
    left: int
    may_receive: bool
    may_send: bool
    may_wait: bool
    watch: FdWatch | None

    if TYPE_CHECKING:

        def settle(self) -> None: ...


class PureCalls:
    """`recv` and `send` of a socket."""

    if TYPE_CHECKING:
        _readiness: Any

        def _recv_slowly(self, flags: int, copy: bool, track: bool) -> Any: ...  # noqa: ANN401
        def _found_nothing(self) -> Any: ...  # noqa: ANN401
        def _send_again(self, data: Any) -> Any: ...  # noqa: ANN401
        def _send_slowly(self, data: Any, *args: Any) -> Any: ...  # noqa: ANN401

    def recv(self, flags: int = 0, copy: bool = True, track: bool = False) -> Any:  # noqa: ANN401 - bytes or Frame
        """As pyzmq's. Parks until there is a message."""
        turns: PureTurns = self._readiness
        if flags or not copy or not turns.may_receive or get_ident() != turns.ident:
            return self._recv_slowly(flags, copy, track)
        try:
            message = _recv(self, _NOBLOCK)
        except zmq.Again:
            return self._found_nothing()
        turns.left -= 1
        if not turns.left:
            turns.settle()
        return message

    def send(
        self,
        data: Any,  # noqa: ANN401 - any buffer, or a Frame
        flags: int = 0,
        copy: bool = True,
        track: bool = False,
        routing_id: int | None = None,
        group: str | None = None,
    ) -> zmq.MessageTracker | None:
        """As pyzmq's. Parks while the message cannot be queued."""
        turns: PureTurns = self._readiness
        plain = copy and not flags and routing_id is None and group is None
        if not plain or not turns.may_send or get_ident() != turns.ident:
            sent = self._send_slowly(data, flags, copy, track, routing_id, group)
            return cast("zmq.MessageTracker | None", sent)
        try:
            tracker = _send(self, data, _NOBLOCK)
        except zmq.Again:
            return cast("zmq.MessageTracker | None", self._send_again(data))
        turns.asked = True
        turns.left -= 1
        if not turns.left:
            turns.settle()
        return cast("zmq.MessageTracker | None", tracker)


if TYPE_CHECKING:
    Calls = PureCalls
    Turns = PureTurns
    ACCELERATED: bool
else:
    Calls, Turns, ACCELERATED = PureCalls, PureTurns, False
    if os.environ.get("VERDANT_PURE", "0") in ("", "0"):
        try:
            _speedups = import_module("verdant.zmq._speedups")
        except ImportError:
            # No compiler at install time, or another platform: all the same but slower.
            pass
        else:
            _speedups.use(
                *(_recv, _send, zmq.Again, _NOBLOCK),
                *(getsockopt_address(), CALLS_PER_TURN, HITS_UNTIL_SURE),
            )
            Calls, Turns, ACCELERATED = _speedups.Calls, _speedups.Turns, True
