"""WebSocket: Eventlet's decorator, which makes a WSGI application of a conversation.

Place     eventlet, over the WebSockets of the WSGI server; needs the extra `websocket`.
Promise   `wait()` gives a message, or None once there will be none; the handler's return closes.
Differs   RFC 6455, version 13, alone: the drafts before it are refused with 426, as are requests
          that ask for no WebSocket. Pings are sent to a silent peer. `max_frame_length` bounds the
          message. What a handler raises is logged, and closes with 1011.
"""

from __future__ import annotations

import errno
from functools import partial
from typing import TYPE_CHECKING, Any

from verdant import http
from verdant.wsgi import websocket

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

__all__ = ["WebSocket", "WebSocketWSGI"]

DEFAULT_MAX_FRAME_LENGTH = 8 << 20

VERSION = 13


class WebSocket:
    """One conversation, as a handler sees it.

    `path`, `origin`, `environ`: of its request. `protocol`: what was agreed on, or None.
    """

    def __init__(self, inner: http.WebSocket, environ: dict[str, Any]) -> None:
        self._inner = inner
        self.environ = environ
        self.path: str | None = environ.get("PATH_INFO")
        self.origin: str | None = environ.get("HTTP_ORIGIN")
        self.protocol = inner.subprotocol
        self.version = VERSION

    @property
    def websocket_closed(self) -> bool:
        """True once it has ended."""
        return self._inner.close_code is not None

    def wait(self) -> str | bytes | None:
        """The next message; None once there will be none. Parks."""
        try:
            return self._inner.receive()
        except http.WebSocketClosed:
            return None

    def send(self, message: Any) -> None:
        """Send text, bytes, or anything else as its text. Parks. Raises BrokenPipeError."""
        if not isinstance(message, str | bytes | bytearray):
            message = str(message)
        try:
            self._inner.send(message)
        except http.WebSocketClosed as exc:
            raise BrokenPipeError(errno.EPIPE, str(exc)) from exc

    def close(self, close_data: tuple[int, str] | None = None) -> None:
        """End it, with a code and a reason. Parks until the peer agrees."""
        self._inner.close(*(close_data or ()))


class WebSocketWSGI:
    """A WSGI application that speaks to every client by `handler(ws)`; a decorator.

    `max_frame_length`: bytes of a message; longer ones end the conversation.
    """

    def __init__(
        self,
        handler: Callable[[WebSocket], Any],
        max_frame_length: int = DEFAULT_MAX_FRAME_LENGTH,
    ) -> None:
        self.handler = handler
        self.max_frame_length = max_frame_length
        self.supported_protocols: Sequence[str] = []
        self.origin_checker: Callable[[str | None, str], bool] | None = None

    @classmethod
    def configured(
        cls,
        handler: Callable[[WebSocket], Any] | None = None,
        supported_protocols: Sequence[str] | None = None,
        origin_checker: Callable[[str | None, str], bool] | None = None,
        support_legacy_versions: bool = False,
    ) -> Any:
        """As the class, with options; also a decorator with arguments.

        `origin_checker(host, origin)` tells whether a page of `origin` may connect.
        """
        if handler is None:
            return partial(
                cls.configured,
                supported_protocols=supported_protocols,
                origin_checker=origin_checker,
            )
        self = cls(handler)
        self.supported_protocols = list(supported_protocols or ())
        self.origin_checker = origin_checker
        return self

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Speak to one client. Parks as long as the conversation goes on."""
        origin = environ.get("HTTP_ORIGIN", "")
        if self.origin_checker and not self.origin_checker(environ.get("HTTP_HOST"), origin):
            start_response("403 Forbidden", [("Connection", "close")])
            return []
        application = websocket(
            self._converse,
            protocols=self.supported_protocols,
            compression=True,
            message_bytes_max=self.max_frame_length,
        )
        answer: Iterable[bytes] = application(environ, start_response)
        return answer

    def _converse(self, inner: http.WebSocket, environ: dict[str, Any]) -> None:
        try:
            self.handler(WebSocket(inner, environ))
        except ConnectionError:
            # The client left.
            return
