"""WebSocket client: connect by URL.

Place     http, on net's connect and websocket.py.
Promise   the stream is a WebSocket only after the server has proved that it speaks one.
Not here  redirects, proxies, reconnecting.
"""

from __future__ import annotations

import base64
import os
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from wsproto.extensions import Extension, PerMessageDeflate
from wsproto.handshake import client_extensions_handshake
from wsproto.utilities import RemoteProtocolError

from verdant.core import Timeout
from verdant.http.client import ClientConnection
from verdant.http.errors import BadResponse
from verdant.http.handshake import KEY_BYTES, accept_token
from verdant.http.serializer import request_head
from verdant.http.websocket import WebSocket
from verdant.net import connect, tls_client_context

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterable, Sequence

    from verdant.http.headers import Field
    from verdant.http.messages import ResponseHead

__all__ = ["connect_websocket"]

_PORTS = {"ws": 80, "wss": 443}


def connect_websocket(
    url: str,
    *,
    headers: Iterable[Field] = (),
    protocols: Sequence[str] = (),
    compression: bool = False,
    tls: ssl.SSLContext | None = None,
    timeout_s: float = 30.0,
    **options: Any,  # noqa: ANN401 - named and typed at WebSocket
) -> WebSocket:
    """A WebSocket to `url`: `ws://host:port/path?query`, or `wss://` over TLS. Parks.

    headers: fields to send along, an Origin or a cookie. protocols: to offer, most wanted first.
    compression: offer permessage-deflate. tls: a client's context, the system's authorities when
    left out. timeout_s: seconds for connection and handshake. Other options: those of `WebSocket`.
    Raises ValueError for another kind of URL, OSError, `HttpError` when the server refuses.
    """
    parts = urlsplit(url)
    if parts.scheme not in _PORTS or not parts.hostname:
        raise ValueError(f"{url!r} is not the URL of a WebSocket: write it as ws://host:port/path")
    port = parts.port or _PORTS[parts.scheme]
    context = None
    if parts.scheme == "wss":
        context = tls if tls is not None else tls_client_context()
    key = base64.b64encode(os.urandom(KEY_BYTES))
    deflate = PerMessageDeflate()
    fields = [
        (b"Host", parts.netloc.rpartition("@")[2].encode("ascii")),
        (b"Upgrade", b"websocket"),
        (b"Connection", b"Upgrade"),
        (b"Sec-WebSocket-Key", key),
        (b"Sec-WebSocket-Version", b"13"),
        *headers,
    ]
    if protocols:
        fields.append((b"Sec-WebSocket-Protocol", ", ".join(protocols).encode("ascii")))
    if compression:
        fields.append((b"Sec-WebSocket-Extensions", b"permessage-deflate; " + _offer(deflate)))
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    bound = Timeout(timeout_s)
    with bound:
        stream = connect((parts.hostname, port), timeout_s=None, tls=context)
        try:
            stream.sendall(request_head(b"GET", target.encode("ascii"), fields))
            connection = ClientConnection(stream)
            answer = connection.read_response(b"GET")
            _check(answer, key)
            extensions = _agreed(answer, deflate if compression else None)
        except BaseException:
            stream.abort()
            stream.close()
            raise
        chosen = answer.header(b"sec-websocket-protocol")
        return WebSocket(
            stream,
            client=True,
            received=connection.buffer,
            extensions=extensions,
            subprotocol=None if chosen is None else chosen.decode("latin-1"),
            **options,
        )
    raise bound  # for the type checker: only a silent scope could be left this way


def _offer(deflate: PerMessageDeflate) -> bytes:
    offer = deflate.offer()
    return offer.encode("ascii") if isinstance(offer, str) else b""


def _check(answer: ResponseHead, key: bytes) -> None:
    if answer.status != 101:
        raise BadResponse(f"the server refused the WebSocket with status {answer.status}")
    if (answer.upgrade or b"").lower() != b"websocket":
        raise BadResponse("the server changed to something that is no WebSocket")
    if answer.header(b"sec-websocket-accept") != accept_token(key):
        raise BadResponse("the server did not prove that it speaks WebSocket")


def _agreed(answer: ResponseHead, deflate: PerMessageDeflate | None) -> list[Extension]:
    chosen = answer.header(b"sec-websocket-extensions")
    if chosen is None:
        return []
    supported: list[Extension] = [] if deflate is None else [deflate]
    try:
        return client_extensions_handshake(chosen.decode("latin-1").split(","), supported)
    except RemoteProtocolError as exc:
        raise BadResponse("the server chose an extension that was not offered") from exc
