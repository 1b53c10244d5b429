"""HTTP/1.1: strict heads, bodies, connections, a server loop, a client and its pool; WebSockets.

WebSockets need the extra `websocket`, so theirs are looked up on first use.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from verdant.http.client import ClientConnection, request
from verdant.http.connection import (
    HEAD_S_MAX,
    IDLE_S_MAX,
    STALLED_S_MAX,
    ServerConnection,
    http_date,
)
from verdant.http.deadlines import Deadlines
from verdant.http.errors import BadRequest, BadResponse, ConnectionLost, HttpError
from verdant.http.headers import Field, Headers
from verdant.http.messages import Request, Response, ResponseHead
from verdant.http.parser import (
    HEAD_BYTES_MAX,
    TARGET_BYTES_MAX,
    ChunkedDecoder,
    parse_request_head,
    parse_response_head,
)
from verdant.http.pool import ConnectionPool, IdleConnections
from verdant.http.reader import ByteStream, MessageReader
from verdant.http.serializer import (
    LAST_CHUNK,
    chunk,
    date_line,
    field_remover,
    forwarded_request_head,
    forwarded_response_head,
    last_chunk,
    reason_phrase,
    request_head,
    response_head,
)
from verdant.http.server import HttpServer, serve_connection

if TYPE_CHECKING:
    from verdant.http.websocket import WebSocket, WebSocketClosed
    from verdant.http.websocket_client import connect_websocket
    from verdant.http.websocket_server import accept_websocket, run_websocket, websocket_handler

__all__ = [
    "HEAD_BYTES_MAX",
    "HEAD_S_MAX",
    "IDLE_S_MAX",
    "LAST_CHUNK",
    "STALLED_S_MAX",
    "TARGET_BYTES_MAX",
    "BadRequest",
    "BadResponse",
    "ByteStream",
    "ChunkedDecoder",
    "ClientConnection",
    "ConnectionLost",
    "ConnectionPool",
    "Deadlines",
    "Field",
    "Headers",
    "HttpError",
    "HttpServer",
    "IdleConnections",
    "MessageReader",
    "Request",
    "Response",
    "ResponseHead",
    "ServerConnection",
    "WebSocket",
    "WebSocketClosed",
    "accept_websocket",
    "chunk",
    "connect_websocket",
    "date_line",
    "field_remover",
    "forwarded_request_head",
    "forwarded_response_head",
    "http_date",
    "last_chunk",
    "parse_request_head",
    "parse_response_head",
    "reason_phrase",
    "request",
    "request_head",
    "response_head",
    "run_websocket",
    "serve_connection",
    "websocket_handler",
]

_ROOMS = {
    "WebSocket": "websocket",
    "WebSocketClosed": "websocket",
    "accept_websocket": "websocket_server",
    "connect_websocket": "websocket_client",
    "run_websocket": "websocket_server",
    "websocket_handler": "websocket_server",
}


def __getattr__(name: str) -> object:
    if name in _ROOMS:
        return getattr(import_module(f"verdant.http.{_ROOMS[name]}"), name)
    raise AttributeError(f"module 'verdant.http' has no attribute {name!r}")
