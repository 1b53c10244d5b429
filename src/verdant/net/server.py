"""Server: accept, give every connection a green thread, drain.

Place     net; http/ and the log servers give it a function for one connection.
Promise   at most `connections_max` at once: beyond that it stops accepting, and clients wait in
          the kernel's backlog. `stop()` closes the listeners, gives those at work `grace_s`
          seconds, then breaks what is left. An error in one connection touches no other; one that
          is not about the connection itself is the handler's own, and is logged as such. TLS is
          agreed on in the connection's own green thread, within `handshake_s_max`: a slow client
          keeps nobody else from being accepted.
Not here  what a connection says (handle); idle limits (the protocol knows what idle means).

    acceptor ──▶ connection ──▶ its green thread: handshake (on a listener with TLS) ──▶ handle
"""

from __future__ import annotations

import errno
import logging
import socket as _stdlib
from collections.abc import Sequence
from functools import partial
from ssl import SSLError
from typing import TYPE_CHECKING

from verdant.core import Cancelled, GreenThread, current_thread, sleep, spawn
from verdant.green.socket import socket
from verdant.green.ssl import SSLSocket
from verdant.net.stream import Stream
from verdant.net.tls import HANDSHAKE_S_MAX, TlsStream
from verdant.sync import Event, Semaphore

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

__all__ = ["CONNECTIONS_MAX_DEFAULT", "Server", "serve"]

# The talk's own figure. Each costs a descriptor and some 10 KiB of stack.
CONNECTIONS_MAX_DEFAULT = 10_000

# Out of descriptors or memory: the next accept would fail at once too, so wait for some to end.
ACCEPT_RETRY_S = 0.1

# Accepts in a row before others run: a burst of connections must not starve those that stand.
ACCEPTS_PER_TURN = 64

_EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})

# What a connection may end with beside a ConnectionError: EBADF when it is closed meanwhile, the
# others when the network gives up (tcp(7)).
_BREAKS = frozenset(
    {errno.EBADF, errno.ENOTCONN, errno.ETIMEDOUT, errno.EHOSTUNREACH, errno.ENETUNREACH}
)

_log = logging.getLogger("verdant.net")


def _is_of_a_connection(exc: OSError) -> bool:
    return isinstance(exc, ConnectionError | SSLError) or exc.errno in _BREAKS


class Server:
    """Serves connections of one or more listeners with `handle(stream)`, a green thread each.

    listeners: what `listen()` made, with TLS or without; the server owns them. connections_max: as
    many are served at once. handshake_s_max: seconds in which a client must have agreed on TLS.
    name: of the green threads, in reports. spawn_with: makes them, as `core.spawn` does; may park,
    as a pool that is full.
    """

    def __init__(
        self,
        listeners: socket | Sequence[socket],
        handle: Callable[[Stream], object],
        *,
        connections_max: int = CONNECTIONS_MAX_DEFAULT,
        handshake_s_max: float = HANDSHAKE_S_MAX,
        name: str = "connection",
        spawn_with: Callable[..., GreenThread[None]] = spawn,
    ) -> None:
        self._spawn = spawn_with
        self.listeners: list[socket] = (
            [*listeners] if isinstance(listeners, Sequence) else [listeners]
        )
        self._handshake_s_max = handshake_s_max
        self.stopping = False
        self._handle = handle
        self._name = name
        self._permits = Semaphore(connections_max)
        self._open: dict[Stream, GreenThread[None]] = {}
        self._acceptors: list[GreenThread[None]] = []
        self._stopped = Event()

    @property
    def connections(self) -> int:
        """How many connections are open now."""
        return len(self._open)

    def start(self) -> None:
        """Begin to accept, in green threads of its own. Does not park."""
        for listener in self.listeners:
            self._acceptors.append(spawn(self._accept, listener, name=f"{self._name} acceptor"))

    def serve_forever(self) -> None:
        """Serve until `stop()` is called elsewhere. Parks."""
        if not self._acceptors:
            self.start()
        self._stopped.wait()

    def stop(self, grace_s: float = 0.0) -> int:
        """Stop accepting, wait at most `grace_s` seconds for open connections, break the rest.

        Returns how many had to be broken. Parks. Handlers see `stopping` and should say so to
        their peers. A handler that calls this is not waited for: it ends by itself.
        """
        self.stopping = True
        me = current_thread()
        for acceptor in self._acceptors:
            acceptor.cancel()
        for listener in self.listeners:
            listener.close()
        remaining = [thread for thread in self._open.values() if thread is not me]
        if remaining and grace_s > 0:
            self._wait_for(remaining, grace_s)
        broken = 0
        for stream, thread in list(self._open.items()):
            if thread is me:
                continue
            broken += 1
            thread.cancel()
            # And no end that would vouch for what was cut (tls.py).
            stream.abort()
        for thread in remaining:
            thread.join()
        self._stopped.set()
        return broken

    @staticmethod
    def _wait_for(threads: list[GreenThread[None]], grace_s: float) -> None:
        all_ended = Event()

        def wait_for_all() -> None:
            for thread in threads:
                thread.join()
            all_ended.set()

        waiter = spawn(wait_for_all, name="drain")
        try:
            all_ended.wait(grace_s)
        finally:
            waiter.cancel()

    def _accept(self, listener: socket) -> None:
        in_a_row = 0
        tls: ssl.SSLContext | None = None
        if isinstance(listener, SSLSocket):
            # Its own `accept` would make TLS sockets; a stream over TLS starts from a plain one.
            tls = listener.context
        while True:
            self._permits.acquire()
            try:
                connection, peer = socket.accept(listener)
            except OSError as exc:
                self._permits.release()
                if listener.fileno() < 0:
                    return
                if exc.errno in _EXHAUSTED:
                    _log.warning("cannot accept a connection: %s; trying again", exc.strerror)
                    sleep(ACCEPT_RETRY_S)
                # Anything else is about the one connection, which is gone (accept(2)).
                continue
            except Cancelled:
                self._permits.release()
                raise
            if isinstance(peer, tuple):
                connection.setsockopt(_stdlib.IPPROTO_TCP, _stdlib.TCP_NODELAY, 1)
            if tls is None:
                stream = Stream(connection, peer)
            else:
                stream = TlsStream(connection, peer, tls, server_side=True)
            try:
                thread = self._spawn(self._serve, stream, name=self._name)
            except BaseException:
                stream.close()
                self._permits.release()
                raise
            self._open[stream] = thread
            thread.at_end(partial(self._ended, stream))
            in_a_row += 1
            if in_a_row >= ACCEPTS_PER_TURN:
                in_a_row = 0
                sleep(0)

    def _serve(self, stream: Stream) -> None:
        try:
            if isinstance(stream, TlsStream):
                stream.handshake(self._handshake_s_max)
        except OSError:
            self._broke(stream)
            return
        try:
            self._handle(stream)
        except Exception as exc:  # noqa: BLE001 - one handler's bug must not end the server; it is told
            # An OSError may as well be of a file or of another connection, to a database say.
            if isinstance(exc, OSError) and _is_of_a_connection(exc) and stream.is_broken():
                self._broke(stream)
            else:
                stream.abort()
                _log.exception("the handler of a connection from %s failed", stream.peer_host)

    @staticmethod
    def _broke(stream: Stream) -> None:
        # The peer broke the connection: its right, and nobody here could do better.
        stream.abort()
        _log.debug("connection from %s broke", stream.peer_host, exc_info=True)

    def _ended(self, stream: Stream, _: GreenThread[object]) -> None:
        # Also when the thread was cancelled before it began.
        stream.close()
        self._open.pop(stream, None)
        self._permits.release()


def serve(
    listener: socket,
    handle: Callable[[Stream], object],
    concurrency: int = CONNECTIONS_MAX_DEFAULT,
    *,
    grace_s: float = 0.0,
) -> None:
    """Serve `listener` with `handle(stream)` for ever, at most `concurrency` at once. Parks.

    `handle` runs in a green thread per connection. It is given the connection's `Stream`, which has
    the calls of a socket that matter (`recv`, `sendall`), the peer's address (`peer`) and the
    socket itself (`socket`); the connection is closed when it returns. With a listener that was
    made with `tls=` the stream is a `TlsStream`. What it raises is logged ("verdant.net"), unless
    it is that its own peer has gone.

    Interrupted (Ctrl-C, `cancel()`, a `Timeout`), it closes the listener, gives what is open
    `grace_s` seconds to end, and breaks the rest. `Server` has the same with more to set.
    """
    server = Server(listener, handle, connections_max=concurrency)
    try:
        server.serve_forever()
    finally:
        server.stop(grace_s)
