"""Errors of the room: sockets that are used where they cannot work.

Place     zmq. What a call itself may raise is pyzmq's own `ZMQError` and its kinds.
"""

from __future__ import annotations

from verdant.errors import VerdantError

__all__ = ["WrongProcess", "WrongThread"]


class WrongThread(VerdantError):
    """Raised when a socket is used in another native thread than the one that used it first.

    The caller's fault: ZeroMQ's sockets are not thread safe. Make one in that thread, and join
    them over inproc.
    """

    code = "zmq-wrong-thread"


class WrongProcess(VerdantError):
    """Raised when a forked child uses a context or a socket that its parent made.

    The caller's fault: libzmq's own threads stayed in the parent, so nothing would ever come or
    go. Make a context and its sockets in the child.
    """

    code = "zmq-wrong-process"
