"""Alone: a receive that meets nobody else on its socket, and may have to wait.

Place     zmq, beside readiness.py, whose rule it keeps; socket.py tries it before the long way.
Promise   the same outcome as `Readiness.run` in fewer steps, or no step at all.
Not here  anything shared: a line, a sender that waits, a poller, a timeout of the socket's own.

A REQ parks once per round trip and a REP once per request, nearly always alone. The long way, by
lines and closures, costs some four µs in Python then, as much as the rest of the wait.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import zmq
from zmq.backend import Socket as _Raw

from verdant.core import current_thread
from verdant.core.originals import get_ident
from verdant.zmq.readiness import CALLS_PER_TURN, Readiness

if TYPE_CHECKING:
    from collections.abc import Callable

    from verdant.core import Parkable

__all__ = ["NOT_ALONE", "receive_alone"]

_NOBLOCK = int(zmq.NOBLOCK)
_IN = int(zmq.POLLIN)
_recv = cast("Callable[..., bytes]", _Raw.recv)

# Says that nothing was done.
NOT_ALONE: Any = object()


def receive_alone(state: Readiness, socket: Any) -> Any:  # noqa: ANN401 - `recv` as pyzmq types it
    """The next message part, or `NOT_ALONE`. Parks. Raises what pyzmq's `recv` raises."""
    side = state.receiving
    line = side.line
    if (
        line
        or state.sending.line
        or state.observers
        or state.closed
        or state.left <= 0
        or side.timeout_ms != -1
        or (state.alternates and not state.asked)
        or state.ident != get_ident()
    ):
        return NOT_ALONE
    watch = state.watch
    if watch is None or watch.reader is not None:
        return NOT_ALONE
    # As everywhere: look before parking. Nothing of this thread runs between the two.
    if not state.read_events() & _IN:
        me = current_thread()
        line.append(me)
        state.may_receive = state.may_send = False
        side.idle = True
        side.hits = 0
        state.left = CALLS_PER_TURN
        watch.reader = cast("Parkable", state)
        try:
            # Woken by Readiness: by an edge, after another's call, or at the end.
            me.hub.leave()
        except BaseException:
            side.idle = False
            state.leave(side, me)
            raise
        me.scheduled = False
        if len(line) > 1 or state.sending.line or state.observers or state.closed:
            # Somebody came meanwhile, or it closed. We are still the first.
            message = state.run_in_line(side, me, lambda: _recv(socket, _NOBLOCK))
            state.asked = False
            return message
        line.popleft()
        state.may_send = not state.unfinished
    try:
        message = _recv(socket, _NOBLOCK)
    except zmq.Again:
        # An edge for nothing; the long way waits for the next one.
        return NOT_ALONE
    side.hits += 1
    state.left -= 1
    state.asked = False
    return message
