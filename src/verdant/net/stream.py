"""Stream: the two ends of a connection, as the rooms above see it.

Place     net, on green sockets.
Promise   what is sent arrives in order or the connection is broken; `recv` returns b"" once the
          peer has finished, and raises nothing for a peer that vanished: to a reader both mean
          that no more will come.
Not here  buffering and meaning (http/); encryption (tls.py).
"""

from __future__ import annotations

import contextlib
import select
import socket as _stdlib
import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from verdant.green.socket import socket

__all__ = ["Stream"]

_poll = select.poll

# Where the kernel does not tell that the peer has finished (poll(2)), it still tells of a hang-up.
_PEER_GONE = getattr(select, "POLLRDHUP", 0)

# struct linger: on, for no time.
_NO_LINGER = struct.pack("ii", 1, 0)


class Stream:
    """One connected stream socket. Owns the socket: closing the stream closes it.

    `sendall` is bound to the socket's own call: one call less per message. `broken`: receiving
    ended because the connection broke, not because the peer had said all.
    """

    __slots__ = ("_aborted", "_recv", "broken", "peer", "sendall", "socket")

    sendall: Callable[[bytes], None]

    def __init__(self, socket: socket, peer: object = None) -> None:
        self.socket = socket
        self.peer = peer
        self._recv, self.sendall = socket.stream_calls()
        self._aborted = False
        self.broken = False

    def recv(self, bytes_max: int) -> bytes:
        """Receive at most `bytes_max` bytes; b"" when no more will come. Parks."""
        try:
            return self._recv(bytes_max)
        except ConnectionError:
            self.broken = True
            return b""

    @property
    def peer_host(self) -> str:
        """The peer's address without its port; "unix" for a unix socket."""
        peer = self.peer
        return peer[0] if isinstance(peer, tuple) and peer else "unix"

    def send_eof(self) -> None:
        """Finish sending; receiving goes on. Does nothing when the peer is gone."""
        try:
            self.socket.shutdown(_stdlib.SHUT_WR)
        except OSError:
            return

    def abort(self) -> None:
        """Break the connection under whoever uses it: their waits return at once. Does not park."""
        self._aborted = True
        self.broken = True
        try:
            self.socket.shutdown(_stdlib.SHUT_RDWR)
        except OSError:
            return

    def abort_reading(self) -> None:
        """End receiving: a wait in `recv` returns b"", while sending goes on. Does not park.

        What has arrived already can still be received.
        """
        self._aborted = True
        try:
            self.socket.shutdown(_stdlib.SHUT_RD)
        except OSError:
            return

    def break_off(self) -> None:
        """Close so that the peer sees an error, not an end. Does not park.

        For an answer that was cut where only its end would have told so.
        """
        self._aborted = True
        self.reset_at_close()
        self.close()

    def reset_at_close(self) -> None:
        """Make `close` throw away what the peer has not taken, and tell it so. Does not park.

        For a peer that does not read: else the kernel keeps all of it for many minutes.
        """
        # Closing then sends RST in place of FIN (socket(7), SO_LINGER). Or it is closed already.
        with contextlib.suppress(OSError):
            self.socket.setsockopt(_stdlib.SOL_SOCKET, _stdlib.SO_LINGER, _NO_LINGER)

    def is_stale(self) -> bool:
        """True when an idle connection has something to read: for a request's sender, its end."""
        if not self.socket.may_be_readable():
            return False
        # The hint can be true for nothing; the kernel knows.
        poll = _poll()
        poll.register(self.socket.fileno(), select.POLLIN)
        return bool(poll.poll(0))

    def is_broken(self) -> bool:
        """True when the peer has gone or finished sending, or this side has cut or closed it."""
        fd = self.socket.fileno()
        if self._aborted or fd < 0:
            return True
        poll = _poll()
        poll.register(fd, _PEER_GONE)
        return bool(poll.poll(0))

    def close(self) -> None:
        """Close both directions and the socket. Does not park."""
        self.socket.close()
