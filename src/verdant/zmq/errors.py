"""Errors of the room: sockets used where they cannot work, keys, frames, and patterns.

Place     zmq. What a call on a socket may raise is pyzmq's own `ZMQError` and its kinds; what a
          service or a client may raise stands in service_errors.py.
"""

from __future__ import annotations

from verdant.errors import VerdantError

__all__ = [
    "BadFrames",
    "BadKeyFile",
    "PeerSilent",
    "StreamBroken",
    "WrongProcess",
    "WrongThread",
]


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


class BadFrames(VerdantError):
    """Raised for a message whose frames are not what a port takes.

    The sender's fault; a port that Verdant opens counts it and goes on.
    """

    code = "zmq-bad-frames"


class BadKeyFile(VerdantError):
    """Raised for a key file that cannot be read, written or trusted.

    The operator's fault; the text names the file and the remedy.
    """

    code = "zmq-bad-key-file"


class PeerSilent(VerdantError):
    """Raised when a peer said nothing for longer than its signs of life allow.

    The peer's or the network's fault; ask again, or ask another.
    """

    code = "zmq-peer-silent"


class StreamBroken(VerdantError):
    """Raised by a streaming answer that ended before its end.

    The producer's fault; what came before is good, and nothing else will come.
    """

    code = "zmq-stream-broken"
