"""Context: pyzmq's, whose sockets are green and whose end blocks nobody.

Place     zmq.
Promise   `term` and `destroy` park their green thread only. Messages that cannot be delivered keep
          a program from ending for `LINGER_MS_DEFAULT` at most, not for ever.
"""

from __future__ import annotations

import zmq

from verdant.core import run_in_worker
from verdant.zmq.socket import Socket

__all__ = ["Context"]

# ZeroMQ's own default is to wait for ever, so one dead peer keeps a process from ending. A second
# is enough for a living peer on the same network to take what is queued.
LINGER_MS_DEFAULT = 1000


class Context(zmq.Context[Socket]):
    """A ZeroMQ context for green threads; constructor and calls as in pyzmq."""

    _socket_class = Socket
    # A context of its own beside pyzmq's `instance()`, which hands out sockets that block.
    _instance = None

    def __init__(self, *args: int, **kwargs: int) -> None:
        super().__init__(*args, **kwargs)
        self.setsockopt(zmq.LINGER, LINGER_MS_DEFAULT)

    def term(self) -> None:
        """As pyzmq's: wait until every socket is closed and its messages are sent. Parks."""
        if not self.closed:
            run_in_worker(super().term)

    def destroy(self, linger: int | None = None) -> None:
        """As pyzmq's: close every socket, then `term`. Parks for `linger` ms at most."""
        super().destroy(linger)
