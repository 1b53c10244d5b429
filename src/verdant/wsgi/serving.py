"""Serving: a WSGI application on listening sockets, until it is told to stop.

Place     wsgi, the room's front: `server()` in one line, `WsgiServer` for programs that stop it.
Promise   every wait for a client has a bound. `stop(grace_s)` accepts nothing more, ends idle
          connections at once, lets each request under way finish with "Connection: close", and
          breaks what is left after `grace_s` seconds.
Not here  one request (handler.py); several processes (start as many, on `listen(reuse_port=True)`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from verdant.core import GreenThread, spawn
from verdant.http import (
    HEAD_BYTES_MAX,
    HEAD_S_MAX,
    IDLE_S_MAX,
    STALLED_S_MAX,
    TARGET_BYTES_MAX,
    HttpServer,
)
from verdant.net import CONNECTIONS_MAX_DEFAULT, HANDSHAKE_S_MAX
from verdant.wsgi.access import LINE_FORMAT, line_sink
from verdant.wsgi.handler import wsgi_handler

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from wsgiref.types import WSGIApplication

    from verdant.green.socket import socket

__all__ = ["WsgiServer", "server"]


class WsgiServer:
    """A WSGI application and the listeners it is served on. Call `start` or `serve_forever`.

    listeners: one that `listen()` made, or several; with `listen(tls=...)` they speak TLS.
    application: as PEP 3333 has it; it runs in a green thread per connection, several at once.
    log: takes an access line per request: a function, a `logging.Logger`, or a file; None: nothing.
    log_format: of those lines, with the names of `LINE_FORMAT`.
    connections_max: as many clients are served at once; others wait to be accepted.
    keep_alive: False ends each connection after its first answer.
    idle_s_max, head_s_max, stalled_s_max: seconds between two requests, from a head's first byte to
    its last, and for some progress in a body that is received or sent. handshake_s_max: seconds to
    agree on TLS.
    head_bytes_max, url_bytes_max, body_bytes_max: what is longer is refused with 431, 414 and 413.
    environ: variables for every request, above the server's own. errors: `wsgi.errors`.
    spawn_with: makes the connections' green threads, as in `net.Server`.
    """

    def __init__(
        self,
        listeners: socket | Sequence[socket],
        application: WSGIApplication,
        *,
        log: object = None,
        log_format: str = LINE_FORMAT,
        connections_max: int = CONNECTIONS_MAX_DEFAULT,
        keep_alive: bool = True,
        idle_s_max: float = IDLE_S_MAX,
        head_s_max: float = HEAD_S_MAX,
        stalled_s_max: float = STALLED_S_MAX,
        handshake_s_max: float = HANDSHAKE_S_MAX,
        head_bytes_max: int = HEAD_BYTES_MAX,
        url_bytes_max: int = TARGET_BYTES_MAX,
        body_bytes_max: int | None = None,
        environ: Mapping[str, object] | None = None,
        errors: object = None,
        spawn_with: Callable[..., GreenThread[None]] = spawn,
    ) -> None:
        handler = wsgi_handler(
            application,
            note=line_sink(log, log_format),
            keep_alive=keep_alive,
            head_bytes_max=head_bytes_max,
            url_bytes_max=url_bytes_max,
            body_bytes_max=body_bytes_max,
            environ=environ,
            errors=errors,
        )
        self._server = HttpServer(
            listeners,
            handler,
            connections_max=connections_max,
            idle_s_max=idle_s_max,
            head_s_max=head_s_max,
            stalled_s_max=stalled_s_max,
            handshake_s_max=handshake_s_max,
            name="wsgi connection",
            spawn_with=spawn_with,
        )

    @property
    def connections(self) -> int:
        """How many connections are open now."""
        return self._server.connections

    def start(self) -> None:
        """Begin to serve in green threads of its own. Does not park."""
        self._server.start()

    def serve_forever(self) -> None:
        """Serve until `stop()` is called elsewhere. Parks."""
        self._server.serve_forever()

    def stop(self, grace_s: float = 0.0) -> int:
        """Stop accepting, end idle connections, wait `grace_s` seconds for requests under way.

        Returns how many connections had to be broken. WebSockets are closed with 1001. Parks.
        """
        return self._server.stop(grace_s)


def server(
    listeners: socket | Sequence[socket],
    application: WSGIApplication,
    *,
    grace_s: float = 0.0,
    **options: Any,  # noqa: ANN401 - named and typed at WsgiServer
) -> None:
    """Serve `application` for ever. Parks.

    `options` are those of `WsgiServer`. Interrupted (Ctrl-C, `cancel()`), it stops as
    `WsgiServer.stop(grace_s)` does.
    """
    serving = WsgiServer(listeners, application, **options)
    try:
        serving.serve_forever()
    finally:
        serving.stop(grace_s)
