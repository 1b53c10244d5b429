"""Upgrade: a WebSocket conversation as a WSGI application.

Place     wsgi; needs the extra `websocket`, so the door opens it on first use.
Promise   routing, middleware and authentication see an ordinary request first; once the handshake
          is out no WSGI answer follows.
Not here  other WSGI servers: PEP 3333 has no word for this, so only ours offers it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from verdant.http import Response, ServerConnection, accept_websocket, run_websocket

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

    from verdant.http import WebSocket

__all__ = ["websocket"]


def websocket(
    handle: Callable[[WebSocket, WSGIEnvironment], object] | None = None,
    **options: Any,  # noqa: ANN401 - named and typed at accept_websocket and WebSocket
) -> Any:  # noqa: ANN401 - an application, or a decorator that makes one
    """A WSGI application that speaks to every client by `handle(websocket, environ)`.

    Also a decorator, with options or without: those of `http.accept_websocket` (`protocols`,
    `origins`, `compression`) and of `WebSocket`. Requests that ask for no WebSocket are refused
    with 426. The application parks as long as the conversation goes on.
    """
    if handle is None:
        return lambda function: _application(function, options)
    return _application(handle, options)


def _application(
    handle: Callable[[WebSocket, WSGIEnvironment], object], options: dict[str, Any]
) -> WSGIApplication:
    def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        connection = environ.get("verdant.connection")
        if not isinstance(connection, ServerConnection):
            start_response("501 Not Implemented", [("Content-Type", "text/plain; charset=utf-8")])
            return [b"This server offers no WebSockets to its applications.\n"]
        accepted = accept_websocket(environ["verdant.request"], connection, **options)
        connection.taken_over = True
        if isinstance(accepted, Response):
            # Not through `start_response`: Upgrade is not an application's to say.
            connection.respond(accepted)
        else:
            run_websocket(accepted, handle, environ)
        return []

    return application
