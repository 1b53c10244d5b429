"""WebSocket server: a request taken over, in a handler of HttpServer.

Place     http, between the server loop and websocket.py; wsgi/upgrade.py does the same for WSGI.
Promise   the handler's return closes the WebSocket (1000), its failure does too (1011); a server
          that stops closes it with 1001.
Not here  what the handshake may say (handshake.py).
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from verdant.http.handshake import agree
from verdant.http.messages import Response
from verdant.http.serializer import response_head
from verdant.http.websocket import WebSocket, WebSocketClosed

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from verdant.http.connection import ServerConnection
    from verdant.http.messages import Request

__all__ = ["accept_websocket", "run_websocket", "websocket_handler"]

FAILED = 1011

_log = logging.getLogger("verdant.http")


def accept_websocket(
    request: Request,
    connection: ServerConnection,
    *,
    protocols: Sequence[str] = (),
    origins: Collection[str] | None = None,
    compression: bool = False,
    **options: Any,  # noqa: ANN401 - named and typed at WebSocket
) -> WebSocket | Response:
    """Take `connection` over as a WebSocket, or return the answer that refuses. Parks.

    protocols, origins, compression: see `handshake.agree`; with `origins=None` a page of any site
    may connect with its visitor's cookies. The other options are those of `WebSocket`.
    """
    agreed = agree(request, protocols=protocols, origins=origins, compression=compression)
    if isinstance(agreed, Response):
        return agreed
    if connection.closing:
        return Response(503, [], b"This server is about to stop.\n")
    connection.taken_over = connection.closing = True
    connection.status = 101
    connection.send(response_head(101, agreed.fields))
    received, connection.buffer = connection.buffer, b""
    websocket = WebSocket(
        connection.stream,
        received=received,
        extensions=agreed.extensions,
        subprotocol=agreed.subprotocol,
        **options,
    )
    connection.when_stopping = websocket.go_away
    return websocket


def run_websocket(websocket: WebSocket, handle: Callable[..., object], *args: object) -> None:
    """Call `handle(websocket, *args)` and close. Parks. Failures are told in the log."""
    try:
        handle(websocket, *args)
    except WebSocketClosed:
        # Where the peer ends a conversation is its own affair.
        websocket.close()
    except Exception:  # noqa: BLE001 - one conversation's bug must not end the server; it is told
        _log.exception("the handler of a WebSocket failed")
        websocket.close(FAILED, "internal error")
    else:
        websocket.close()


def websocket_handler(
    handle: Callable[[WebSocket, Request], object],
    **options: Any,  # noqa: ANN401 - named and typed at accept_websocket and WebSocket
) -> Callable[[Request, ServerConnection], Response | None]:
    """A handler for `HttpServer` that speaks to every client by `handle(websocket, request)`.

    `options`: those of `accept_websocket`. Requests that ask for no WebSocket are refused.
    """

    def answer(request: Request, connection: ServerConnection) -> Response | None:
        accepted = accept_websocket(request, connection, **options)
        if isinstance(accepted, Response):
            return accepted
        run_websocket(accepted, handle, request)
        return None

    return answer
