"""Messages: requests and answers as values.

Place     http, pure. parser.py makes the heads; everybody above reads them.
Promise   what routing and framing need is parsed and normalised; the rest stays bytes until
          somebody asks for `headers`.
Not here  reading bodies (connection.py); writing anything (serializer.py).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from verdant.http.headers import Field, Headers

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Request", "Response", "ResponseHead"]

# Groups: the authority, and the rest from its first "/" or "?" on.
split_absolute_target = re.compile(rb"https?://([^/?#@]++)([/?][!-~]*+)?", re.IGNORECASE).fullmatch


class Request:
    """The head of one request. A value: nobody changes it after the parser.

    head: request line and field lines as they came, without the blank line that ends them, and
    without a Connection field that says only what HTTP/1.1 means anyway (keep-alive).
    method, target: as they came. `minor_version`: 1 for HTTP/1.1, 0 for HTTP/1.0.
    host: in lower case, without port and trailing dot; b"" when an HTTP/1.0 client sent none.
    content_length: the bytes of body that follow, or None when the client gave no number.
    chunked: the body comes in chunks. keep_alive: the client allows another request after it.
    expect_continue: the client waits for "100 Continue" before it sends the body.
    upgrade: the protocols that the client offers to change to, or None.
    hop_by_hop: `head` has fields that end at this connection.
    forwarded: `head` has Forwarded, X-Forwarded-... or X-Real-IP fields, whoever wrote them, also
    with `_` for `-`.
    has_body: bytes follow the head.
    plain: HTTP/1.1 whose `head` may go to a backend as it is: a path as its target, no body, and
    none of the fields above.
    """

    # Defaults in the class, so that the parser sets only what a message really says: most say
    # nothing of these, and each attribute set is paid for per request.
    host: bytes = b""
    content_length: int | None = None
    upgrade: bytes | None = None
    keep_alive: bool = True
    chunked: bool = False
    expect_continue: bool = False
    hop_by_hop: bool = False
    forwarded: bool = False
    has_body: bool = False
    plain: bool = False
    minor_version: int = 1
    _headers: Headers | None = None

    def __init__(self, head: bytes, method: bytes, target: bytes) -> None:
        self.head = head
        self.method = method
        self.target = target

    @property
    def headers(self) -> Headers:
        """Every field, in order. Parsed at the first look."""
        if self._headers is None:
            self._headers = Headers.from_lines(self.head)
        return self._headers

    def header(self, name: bytes) -> bytes | None:
        """The first value of the field `name`, whatever its case, or None."""
        return self.headers.get(name)

    @property
    def path(self) -> bytes:
        """The target as a backend wants it: from the path on, query included; or b"*"."""
        match = split_absolute_target(self.target)
        if match is None:
            return self.target
        rest = match[2] or b"/"
        return rest if rest.startswith(b"/") else b"/" + rest

    def __repr__(self) -> str:
        return f"<Request {self.method!r} {self.target!r} host={self.host!r}>"


class ResponseHead:
    """The head of one answer. A value: nobody changes it after the parser.

    head: status line and field lines as they came, less the blank line and a mere keep-alive, as
    for `Request`.
    content_length: the bytes of body that follow: 0 where HTTP allows none (HEAD, 1xx, 204, 304),
    whatever the fields say; None when the answer is chunked, or ends with its connection.
    keep_alive: the backend allows another request after it. The rest as for `Request`.
    plain: HTTP/1.1, framed by its Content-Length, whose `head` may go to a client as it is.
    """

    content_length: int | None = None
    upgrade: bytes | None = None
    keep_alive: bool = True
    chunked: bool = False
    hop_by_hop: bool = False
    plain: bool = False
    minor_version: int = 1
    _headers: Headers | None = None

    def __init__(self, head: bytes, status: int) -> None:
        self.head = head
        self.status = status

    @property
    def until_close(self) -> bool:
        """True when the body ends where the connection does."""
        return self.content_length is None and not self.chunked

    @property
    def reason(self) -> bytes:
        """The phrase after the status, often empty."""
        line = self.head.partition(b"\r\n")[0]
        return line[13:]

    @property
    def headers(self) -> Headers:
        """Every field, in order. Parsed at the first look."""
        if self._headers is None:
            self._headers = Headers.from_lines(self.head)
        return self._headers

    def header(self, name: bytes) -> bytes | None:
        """The first value of the field `name`, whatever its case, or None."""
        return self.headers.get(name)

    def __repr__(self) -> str:
        return f"<ResponseHead {self.status}>"


class Response:
    """An answer: what handlers return, and what the client gives back.

    headers: pairs or `Headers`; framing fields need not be there, the server writes them.
    body: bytes, or pieces of it as they come (an iterable that may park at each piece).
    """

    __slots__ = ("body", "headers", "reason", "status")

    def __init__(
        self,
        status: int,
        headers: Iterable[Field] = (),
        body: bytes | Iterable[bytes] = b"",
        *,
        reason: bytes = b"",
    ) -> None:
        self.status = status
        self.headers = headers if isinstance(headers, Headers) else Headers(headers)
        self.body = body
        self.reason = reason

    def header(self, name: bytes) -> bytes | None:
        """The first value of the field `name`, whatever its case, or None."""
        return self.headers.get(name)

    def read(self) -> bytes:
        """The whole body, which stays in `body`. Parks while pieces come."""
        body = self.body
        if not isinstance(body, bytes):
            self.body = body = b"".join(body)
        return body

    def __repr__(self) -> str:
        return f"<Response {self.status}>"
