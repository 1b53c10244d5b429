"""Client: the asking end of one HTTP/1.1 connection, and a small client for our own services.

Place     http, on the reader.
Promise   informational answers are passed over; a body ends where its framing says, or the loss is
          an error; a connection is reusable only after an exchange that was read to its end.
Not here  which connection to use (pool.py); redirects, cookies: our services have none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from verdant.core import Timeout
from verdant.http.errors import BadRequest, BadResponse, ConnectionLost, HttpError
from verdant.http.messages import Response, ResponseHead
from verdant.http.parser import parse_response_head
from verdant.http.reader import ByteStream, MessageReader
from verdant.http.serializer import request_head
from verdant.net import connect

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from verdant.address import TcpAddress, UnixAddress
    from verdant.http.headers import Field

__all__ = ["ClientConnection", "request"]

# For the small client alone: its callers want JSON documents, not downloads.
BODY_BYTES_MAX = 64 * 1024 * 1024

# A server that sends 1xx answers without end is broken.
INFORMATIONAL_MAX = 32


class ClientConnection(MessageReader):
    """One connection to a server. `reusable` says whether it may carry another request."""

    __slots__ = ("idle_since", "response", "timed_out", "waiting_s_max", "waiting_since")

    def __init__(self, stream: ByteStream) -> None:
        super().__init__(stream)
        self.response: ResponseHead | None = None
        self.idle_since = 0.0
        # For a sweeper (deadlines.py), where there is one.
        self.timed_out = False
        self.waiting_since = 0.0
        self.waiting_s_max = 0.0

    def wait_is_over(self) -> None:
        """Called by a sweeper: whoever waits on this connection sees its end. Does not park."""
        self.timed_out = True
        self.stream.abort()

    def read_response(
        self, method: bytes, tell: Callable[[ResponseHead], object] | None = None
    ) -> ResponseHead:
        """The head of the answer to a request with `method`. Parks.

        101 is an answer; other 1xx are passed over, once `tell` has heard of each. Raises
        `BadResponse` and `ConnectionLost`.
        """
        for _ in range(INFORMATIONAL_MAX):
            try:
                head = self.read_head()
            except BadRequest as exc:
                raise BadResponse(f"the answer is refused: {exc}") from exc
            if head is None:
                raise ConnectionLost("the server closed without an answer")
            response = parse_response_head(head, method)
            if response.status >= 200 or response.status == 101:
                self.response = response
                if response.plain:
                    self._left = response.content_length or 0
                else:
                    self.begin_body(response.content_length, response.chunked)
                return response
            if tell is not None:
                tell(response)
        raise BadResponse(f"the server sent {INFORMATIONAL_MAX} informational answers and no other")

    def _bad_chunk(self, reason: str) -> HttpError:
        return BadResponse(f"the answer's body is refused: {reason}")

    @property
    def reusable(self) -> bool:
        """True when the last exchange is over and the connection stays open."""
        response = self.response
        return response is not None and response.keep_alive and not self._left and not self.buffer

    def close(self) -> None:
        """Close the connection. Does not park."""
        self.stream.close()


def request(
    method: str,
    address: str | tuple[str, int] | TcpAddress | UnixAddress,
    path: str,
    *,
    host: str | None = None,
    headers: Iterable[Field] = (),
    body: bytes = b"",
    timeout_s: float = 30.0,
) -> Response:
    """Ask the server at `address` once, on a connection of its own. Parks.

    `timeout_s`: seconds for the whole exchange. Returns the answer with its body. Raises OSError
    when the server cannot be reached, `HttpError` when it does not speak HTTP, `Timeout`.
    """
    fields: list[Field] = [(b"Host", (host or str(address)).encode("ascii"))]
    fields.append((b"Connection", b"close"))
    if body or method in ("POST", "PUT"):
        fields.append((b"Content-Length", b"%d" % len(body)))
    fields.extend(headers)
    message = request_head(method.encode("ascii"), path.encode("ascii"), fields) + body
    bound = Timeout(timeout_s)
    with bound:
        connection = ClientConnection(connect(address, timeout_s=None))
        try:
            return _ask(connection, method.encode("ascii"), message)
        finally:
            connection.close()
    raise bound  # for the type checker: only a silent scope could be left this way


def _ask(connection: ClientConnection, method: bytes, message: bytes) -> Response:
    connection.stream.sendall(message)
    answer = connection.read_response(method)
    pieces = []
    size = 0
    while piece := connection.read_body_piece():
        size += len(piece)
        if size > BODY_BYTES_MAX:
            raise BadResponse(f"the answer's body is over {BODY_BYTES_MAX} bytes")
        pieces.append(piece)
    return Response(answer.status, answer.headers, b"".join(pieces))
