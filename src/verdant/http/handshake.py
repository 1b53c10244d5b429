"""Handshake: how a request becomes a WebSocket (RFC 6455 section 4).

Place     http; websocket.py answers with what is found here, wsproto knows the extension.
Promise   a request that is no valid handshake gets an answer that says why, and no connection is
          taken over on a guess.
Not here  frames (websocket.py); the asking side (websocket_client.py).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from wsproto.extensions import Extension, PerMessageDeflate
from wsproto.handshake import server_extensions_handshake

from verdant.http.messages import Response

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from verdant.http.headers import Field
    from verdant.http.messages import Request

__all__ = ["Agreed", "accept_token", "agree"]

# RFC 6455 section 1.3: proves that the server knows what it answers.
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
KEY_BYTES = 16


@dataclass
class Agreed:
    """What both sides have settled: fields for the 101, the protocol, and the extensions."""

    fields: list[Field]
    subprotocol: str | None = None
    extensions: list[Extension] = field(default_factory=list)


def accept_token(key: bytes) -> bytes:
    """The Sec-WebSocket-Accept for a Sec-WebSocket-Key."""
    return base64.b64encode(hashlib.sha1(key + _GUID, usedforsecurity=False).digest())


def agree(
    request: Request,
    *,
    protocols: Sequence[str] = (),
    origins: Collection[str] | None = None,
    compression: bool = False,
) -> Agreed | Response:
    """What to agree on with the sender of `request`, or the answer that refuses it.

    protocols: those that we speak, most wanted first; one that the client offers is chosen.
    origins: values of Origin to take; None takes all. compression: accept permessage-deflate.
    Does not park.
    """
    offered = _items(request.header(b"upgrade") or b"")
    if request.upgrade is None or "websocket" not in [item.lower() for item in offered]:
        return _refusal(426, b"This is a WebSocket.", (b"Upgrade", b"websocket"))
    if request.method != b"GET" or request.has_body:
        return _refusal(400, b"A WebSocket is asked for by GET, without a body.")
    if request.headers.get_all(b"sec-websocket-version") != [b"13"]:
        return _refusal(426, b"Version 13 is spoken here.", (b"Sec-WebSocket-Version", b"13"))
    keys = request.headers.get_all(b"sec-websocket-key")
    if len(keys) != 1 or not _is_key(keys[0]):
        return _refusal(400, b"There must be one Sec-WebSocket-Key, of 16 bytes.")
    if origins is not None and (request.header(b"origin") or b"").decode("latin-1") not in origins:
        return _refusal(403, b"Pages of this origin may not connect.")
    agreed = Agreed(
        [
            (b"Upgrade", b"websocket"),
            (b"Connection", b"Upgrade"),
            (b"Sec-WebSocket-Accept", accept_token(keys[0])),
        ]
    )
    wanted = _items(b",".join(request.headers.get_all(b"sec-websocket-protocol")))
    agreed.subprotocol = next((name for name in protocols if name in wanted), None)
    if agreed.subprotocol is not None:
        agreed.fields.append((b"Sec-WebSocket-Protocol", agreed.subprotocol.encode("ascii")))
    if compression:
        deflate = PerMessageDeflate()
        extensions = _items(b",".join(request.headers.get_all(b"sec-websocket-extensions")))
        answer = server_extensions_handshake(extensions, [deflate])
        if answer:
            agreed.extensions.append(deflate)
            agreed.fields.append((b"Sec-WebSocket-Extensions", answer))
    return agreed


def _items(value: bytes) -> list[str]:
    return [item.strip() for item in value.decode("latin-1").split(",")]


def _is_key(key: bytes) -> bool:
    try:
        return len(base64.b64decode(key, validate=True)) == KEY_BYTES
    except binascii.Error:
        return False


def _refusal(status: int, reason: bytes, *fields: Field) -> Response:
    return Response(
        status, [(b"Content-Type", b"text/plain; charset=utf-8"), *fields], reason + b"\n"
    )
