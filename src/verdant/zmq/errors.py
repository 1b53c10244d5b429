"""Errors of the ZeroMQ room's keys and patterns.

Place     zmq.
"""

from __future__ import annotations

from verdant.errors import VerdantError

__all__ = ["BadFrames", "BadKeyFile", "PeerSilent", "StreamBroken"]


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
