"""Server: the loop of one connection around a handler.

Place     http. A handler answers one request: by returning a `Response`, or by itself through the
          connection (then it returns None).
Promise   a peer never sees a traceback; an error before the answer began is a 500, after that the
          connection ends so that a cut answer cannot pass for a whole one.
Not here  accepting (net/server.py).
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from verdant.core import GreenThread, monotonic, spawn
from verdant.http.connection import ServerConnection
from verdant.http.deadlines import Deadlines
from verdant.http.errors import BadRequest, ConnectionLost
from verdant.http.messages import Request, Response

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from verdant.green.socket import socket
    from verdant.net import Stream

from verdant.net import CONNECTIONS_MAX_DEFAULT, HANDSHAKE_S_MAX, Server

__all__ = ["HttpServer", "serve_connection"]

_log = logging.getLogger("verdant.http")

if TYPE_CHECKING:
    Handler = Callable[[Request, ServerConnection], Response | None]


def serve_connection(connection: ServerConnection, handler: Handler) -> None:
    """Serve requests with `handler(request, connection)` until either side is done. Parks.

    Does not close the stream: its owner does.
    """
    try:
        while True:
            try:
                request = connection.read_request()
                if request is None:
                    return
                response = handler(request, connection)
                if response is not None:
                    connection.respond(response)
            except BadRequest as exc:
                if not connection.bytes_sent:
                    connection.refuse(exc)
                return
            except (ConnectionLost, ConnectionError):
                # The client left; there is nobody to tell.
                return
            except Exception:  # noqa: BLE001 - one request's failure must not end the server
                _log.exception("the handler of a request failed")
                if connection.bytes_sent:
                    return
                connection.closing = True
                connection.respond(Response(500, [], b"Internal error.\n"))
            if not connection.finish():
                return
    except (BadRequest, ConnectionLost, ConnectionError):
        # While an answer was under way, or its rest was read away.
        return


class HttpServer:
    """Serves HTTP on listeners: a green thread per connection, idle and stalled ones ended.

    listeners: what `net.listen()` made, with TLS or without. handler: answers one request.
    connections_max: as many are served at once. idle_s_max, head_s_max, stalled_s_max: seconds
    between requests, for a head, and for some progress in a body (either way). body_bytes_max: of
    a request; more is answered with 413. body_bytes_per_s_min: what a request's body must bring on
    the average, once `stalled_s_max` seconds were waited for it; 0 is any progress.
    handshake_s_max: seconds to agree on TLS. name: of the green threads, in reports. spawn_with:
    makes them, as in `net.Server`.
    """

    def __init__(
        self,
        listeners: socket | Sequence[socket],
        handler: Handler,
        *,
        connections_max: int = CONNECTIONS_MAX_DEFAULT,
        idle_s_max: float | None = None,
        head_s_max: float | None = None,
        stalled_s_max: float | None = None,
        body_bytes_max: int | None = None,
        body_bytes_per_s_min: int = 0,
        handshake_s_max: float = HANDSHAKE_S_MAX,
        name: str = "http connection",
        spawn_with: Callable[..., GreenThread[None]] = spawn,
    ) -> None:
        self._handler = handler
        self._deadlines = Deadlines()
        self._limits: dict[str, Any] = {
            "body_bytes_max": body_bytes_max,
            "body_bytes_per_s_min": body_bytes_per_s_min,
        }
        if idle_s_max is not None:
            self._limits["idle_s_max"] = idle_s_max
        if head_s_max is not None:
            self._limits["head_s_max"] = head_s_max
        if stalled_s_max is not None:
            self._limits["stalled_s_max"] = stalled_s_max
        self._connections: set[ServerConnection] = set()
        self._server = Server(
            listeners,
            self._serve,
            connections_max=connections_max,
            handshake_s_max=handshake_s_max,
            name=name,
            spawn_with=spawn_with,
        )

    @property
    def connections(self) -> int:
        """How many connections are open now."""
        return len(self._connections)

    def start(self) -> None:
        """Begin to serve in green threads of its own. Does not park."""
        self._server.start()

    def serve_forever(self) -> None:
        """Serve until `stop()` is called elsewhere. Parks."""
        self._server.serve_forever()

    def stop(self, grace_s: float = 0.0, *, idle_s: float = 0.0) -> int:
        """Stop accepting, end idle connections, wait `grace_s` for the others. Parks.

        `idle_s`: as long may an idle connection still send a request, whose answer says that it is
        the last: a client that was about to send one is not met by a closed connection. It counts
        towards `grace_s`. Returns how many had to be broken.
        """
        if idle_s > 0:
            began = monotonic()
            for connection in self._connections:
                connection.closing = True
            self._server.stop_accepting()
            self._server.wait_until_empty(min(idle_s, grace_s))
            grace_s -= monotonic() - began
        for connection in list(self._connections):
            # The answer under way is the last one; who waits for a request waits no longer.
            connection.closing = True
            if connection.when_stopping is not None:
                connection.when_stopping()
                connection.when_stopping = None
            if connection.idle:
                # A request that has arrived is still answered.
                connection.stop_waiting()
        try:
            return self._server.stop(grace_s)
        finally:
            self._deadlines.stop()

    def _serve(self, stream: Stream) -> None:
        connection = ServerConnection(stream, self._deadlines, **self._limits)
        connection.closing = self._server.stopping
        self._connections.add(connection)
        self._deadlines.add(connection)
        try:
            serve_connection(connection, self._handler)
        finally:
            self._deadlines.remove(connection)
            self._connections.discard(connection)
            # It may lead back to the connection, which is gone now rather than at a collection.
            connection.memory = connection.when_stopping = None
