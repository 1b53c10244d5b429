"""Guard: the one in each context whom libzmq asks about every connection.

Place     zmq. Touches the context's ZAP endpoint (RFC 27) and monitors of guarded sockets.
Promise   one handler per context, made with its first gate, ended with the context. It answers
          every request that can be answered and raises for none. It must not stop: libzmq lets in
          who holds any key when nobody is there to ask.
Not here  the decision (zap.py), the counts (gate.py).

    connection ─▶ libzmq ─▶ inproc://zeromq.zap.01 ─▶ guard ─▶ the gate of its domain
                     └─ handshake failed ─▶ monitor ─▶ the gate counts it

The handler is a green thread of the native thread that set up the first gate: while its hub is
kept busy nobody new comes in, and that thread must last as long as the ports.
"""

from __future__ import annotations

import itertools
import logging
import struct
import weakref
from typing import TYPE_CHECKING, Any

import zmq

from verdant.core import spawn
from verdant.errors import ConfigurationError
from verdant.zmq.context import Context
from verdant.zmq.errors import BadFrames
from verdant.zmq.zap import Decision, parse_request, reply_frames

if TYPE_CHECKING:
    from verdant.zmq.gate import Gate
    from verdant.zmq.socket import Socket

__all__ = ["Guard", "guard_of"]

ZAP_ENDPOINT = "inproc://zeromq.zap.01"
# A handshake is two round trips; a refused client, and one that says nothing, hold a descriptor
# until then. libzmq's own 30 s hold six times as many.
HANDSHAKE_MS_MAX = 5000

_FAILURES = zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
_log = logging.getLogger("verdant.zmq")
_guards: weakref.WeakKeyDictionary[Context, Guard] = weakref.WeakKeyDictionary()
_numbers = itertools.count(1)


class Guard:
    """Asked for every handshake in one context. Made by `guard_of`."""

    def __init__(self, context: Context) -> None:
        self.malformed = 0
        self._gates: dict[bytes, Gate] = {}
        self._socket = context.socket(zmq.ROUTER)
        self._socket.setsockopt(zmq.LINGER, 0)
        try:
            self._socket.bind(ZAP_ENDPOINT)
        except zmq.ZMQError as exc:
            self._socket.close()
            raise ConfigurationError(
                f"this ZeroMQ context has a ZAP handler of another make ({exc.strerror}): end "
                "that one, or use a context of your own"
            ) from exc
        self._thread = spawn(self._serve, name="zmq guard")

    @property
    def closed(self) -> bool:
        """True once its context is closed."""
        return self._socket.closed

    def close(self) -> None:
        """End it; its ports let nobody in that is new, so close them first. Does not park."""
        self._socket.close()

    def place(self, socket: Socket, gate: Gate) -> None:
        """Have `gate` decide who connects to `socket`, which is not bound yet. Does not park."""
        number = next(_numbers)
        domain = b"verdant-%d" % number
        self._gates[domain] = gate
        socket.setsockopt(zmq.ZAP_DOMAIN, domain)
        socket.setsockopt(zmq.HANDSHAKE_IVL, HANDSHAKE_MS_MAX)
        endpoint = f"inproc://verdant.handshakes.{number}"
        socket.monitor(endpoint, _FAILURES | zmq.EVENT_MONITOR_STOPPED)
        watcher = socket.context.socket(zmq.PAIR)
        watcher.setsockopt(zmq.LINGER, 0)
        watcher.connect(endpoint)
        spawn(self._watch, watcher, domain, name=f"zmq handshakes of {gate.name}")

    def _serve(self) -> None:
        while True:
            try:
                sender, _, *frames = self._socket.recv_multipart()
            except zmq.ZMQError:
                # Its context ends, and so do we.
                return
            except ValueError:
                self.malformed += 1
                continue
            try:
                request = parse_request(frames)
            except BadFrames as exc:
                self.malformed += 1
                _log.warning("a ZAP request cannot be read: %s", exc)
                if len(frames) > 1:
                    self._answer(sender, reply_frames(frames[1], Decision("domain")))
                continue
            gate = self._gates.get(request.domain)
            decision = Decision("domain") if gate is None else gate.decide(request)
            self._answer(sender, reply_frames(request.request_id, decision))

    def _answer(self, sender: bytes, frames: list[bytes]) -> None:
        try:
            self._socket.send_multipart([sender, b"", *frames])
        except zmq.ZMQError as exc:
            # The connection went away, or the context.
            _log.debug("cannot answer a ZAP request: %s", exc)

    def _watch(self, watcher: Socket, domain: bytes) -> None:
        try:
            while True:
                event, *_ = watcher.recv_multipart()
                # zmq_socket_monitor(3): the event's number in 16 bits, then its value in 32.
                (number,) = struct.unpack_from("=H", event)
                if number == zmq.EVENT_MONITOR_STOPPED:
                    return
                self._gates[domain].note_failed()
        except zmq.ZMQError:
            # Its context ends.
            return
        finally:
            watcher.close()
            self._gates.pop(domain, None)


def guard_of(context: zmq.Context[Any]) -> Guard:
    """The guard of `context`, made now if it has none. Does not park.

    Raises `ConfigurationError` when somebody else answers ZAP requests there, TypeError when the
    context is not green: the guard would then stop the hub to wait for a handshake.
    """
    if not isinstance(context, Context):
        raise TypeError(f"{context!r} is not a verdant.zmq.Context, so nobody could guard it")
    guard = _guards.get(context)
    if guard is None or guard.closed:
        guard = Guard(context)
        _guards[context] = guard
    return guard
