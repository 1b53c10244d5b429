"""Proxy: one request to one backend, and its answer back.

Place     balancer, on the http floor. actions/proxy.py chooses the backend and tries again.
Promise   bytes stream both ways; a slow end parks this green thread, which is the back-pressure.
          A cut answer is never made to look whole: the client's connection breaks with it.
Not here  which backend; retries on another.

The answer is read here while a request body that is not all in hand is sent by a green thread of
its own: a backend may answer before it has read everything, and must not wait for us to listen.

Plain functions of the exchange, few and flat: what is called here is called for every request.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from verdant.balancer.forwarding import (
    client_address,
    external_fields,
    forward_external,
    forward_internal,
)
from verdant.core import spawn
from verdant.errors import VerdantError
from verdant.http import (
    LAST_CHUNK,
    BadRequest,
    BadResponse,
    ClientConnection,
    ConnectionLost,
    ResponseHead,
    chunk,
    forwarded_request_head,
    forwarded_response_head,
)
from verdant.net import Stream, relay

if TYPE_CHECKING:
    from verdant.balancer.exchange import Exchange
    from verdant.core import GreenThread
    from verdant.http import Request

__all__ = ["BackendFailed", "pass_to"]

# RFC 9110 section 9.2.2.
IDEMPOTENT = frozenset({b"GET", b"HEAD", b"OPTIONS", b"TRACE", b"PUT", b"DELETE"})


# The same for every request of a connection; a thousand clients are more than are active at once.
@lru_cache(maxsize=1024)
def _external_fields(peer_host: str, protocol: bytes) -> bytes:
    return external_fields(client_address(peer_host), protocol)


def _without_claims(head: bytes) -> bytes:
    return forward_external(head, b"")[0]


def _without_addresses(head: bytes) -> bytes:
    return forward_internal(head, b"")[0]


class BackendFailed(VerdantError):
    """Raised when a backend gave no answer. The backend's fault; nothing went to the client yet."""

    code = "balancer-backend-failed"

    def __init__(self, reason: str, *, may_retry: bool) -> None:
        super().__init__(reason)
        self.may_retry = may_retry


def pass_to(exchange: Exchange, address: tuple[str, int]) -> None:
    """Send the request to the backend at `address` and pass its answer on. Parks.

    Raises `BackendFailed` while the client has heard nothing, `ConnectionLost` later.
    """
    exchange.backend = address
    house = exchange.house
    idle = house.pool.borrow_idle(address)
    if idle is not None:
        try:
            _exchange_over(exchange, address, idle)
        except BackendFailed as exc:
            # An idle connection may end just as it is used (RFC 9112 section 9.3.1); that says
            # nothing about the backend, so a new one is worth its while.
            if not exc.may_retry or idle.timed_out:
                raise
        else:
            return
    try:
        fresh = house.pool.connect(address, house.config.backend_connect_timeout_s)
    except OSError as exc:
        raise BackendFailed(f"cannot connect ({exc})", may_retry=True) from exc
    house.deadlines.add(fresh)
    _exchange_over(exchange, address, fresh)


def _exchange_over(exchange: Exchange, address: tuple[str, int], backend: ClientConnection) -> None:
    """One exchange on one connection, which is kept afterwards if it may be."""
    house = exchange.house
    whole = False
    try:
        whole = _carry(exchange, backend)
    finally:
        if not whole or not house.pool.give_back(address, backend):
            house.deadlines.remove(backend)
            backend.close()


def _carry(exchange: Exchange, backend: ClientConnection) -> bool:
    """Both directions of one exchange. Returns True when the whole request went out."""
    request = exchange.request
    message = _head(exchange)
    sender: GreenThread[None] | None = None
    try:
        if request.has_body and not exchange.connection.body_finished:
            message += _body_in_hand(exchange)
            backend.stream.sendall(message)
            if not exchange.connection.body_finished:
                sender = spawn(_send_body, exchange, backend, name="request body")
        else:
            backend.stream.sendall(message)
    except OSError as exc:
        reason = f"the connection broke while sending ({exc})"
        raise BackendFailed(reason, may_retry=_may_resend(request)) from exc
    try:
        _pass_on(exchange, backend, _read_response(exchange, backend))
    except BaseException:
        if sender is not None:
            sender.cancel()
            sender.join()
        raise
    return sender is None or _end_body(exchange, sender)


def _head(exchange: Exchange) -> bytes:
    """The request's head as its backend gets it."""
    request = exchange.request
    if not exchange.internal:
        fields = _external_fields(exchange.peer_host, exchange.protocol)
        if request.plain:
            return b"%b%b\r\n\r\n" % (request.head, fields)
        without = _without_claims if request.forwarded else None
    else:
        _, fields = forward_internal(request.head, client_address(exchange.peer_host))
        without = _without_addresses if request.forwarded else None
    return forwarded_request_head(
        request, fields, without=without, upgrade=request.upgrade is not None
    )


def _may_resend(request: Request) -> bool:
    return request.method in IDEMPOTENT and not request.has_body


def _body_in_hand(exchange: Exchange) -> bytes:
    """A body that came whole with its head, ready to go with it in one packet."""
    connection = exchange.connection
    request = exchange.request
    if request.chunked or len(connection.buffer) < (request.content_length or 0):
        return b""
    return connection.read_piece()


def _send_body(exchange: Exchange, backend: ClientConnection) -> None:
    # In a green thread of its own.
    connection = exchange.connection
    send = backend.stream.sendall
    chunked = exchange.request.chunked
    try:
        while piece := connection.read_piece():
            send(chunk(piece) if chunked else piece)
        if chunked:
            send(LAST_CHUNK)
    except (BadRequest, ConnectionLost):
        # The client's body broke: the backend must not take what it got for a whole one.
        backend.stream.abort()
    except OSError:
        # The backend stopped listening. It may have answered; whoever reads finds out.
        return


def _end_body(exchange: Exchange, sender: GreenThread[None]) -> bool:
    """After the answer: True when the whole body went out as well."""
    connection = exchange.connection
    if not sender.done:
        # The backend answered without wanting the rest. Reading it away is the client
        # connection's affair; this one cannot be used again.
        sender.cancel()
        sender.join()
    if connection.body_finished:
        return True
    connection.closing = True
    return False


def _read_response(exchange: Exchange, backend: ClientConnection) -> ResponseHead:
    house = exchange.house
    backend.waiting_s_max = house.config.backend_response_timeout_s
    backend.waiting_since = house.deadlines.now
    request = exchange.request
    try:
        return backend.read_response(request.method)
    except ConnectionLost as exc:
        if backend.timed_out:
            raise BackendFailed("it did not answer in time", may_retry=False) from exc
        raise BackendFailed(str(exc), may_retry=_may_resend(request)) from exc
    except BadResponse as exc:
        raise BackendFailed(str(exc), may_retry=False) from exc
    finally:
        backend.waiting_since = 0.0


def _pass_on(exchange: Exchange, backend: ClientConnection, response: ResponseHead) -> None:
    connection = exchange.connection
    connection.status = response.status
    request = exchange.request
    if request.plain and response.plain and not connection.closing:
        # Both ends speak HTTP/1.1, stay open, and know the body's length.
        head = response.head + b"\r\n\r\n"
        rechunk = False
    elif response.status == 101:
        _upgrade(exchange, backend, response)
        return
    else:
        head, rechunk = _answer_head(exchange, backend, response)
    # The first piece goes with the head, one packet instead of two, when it is here already.
    if backend.buffer and not backend.body_finished:
        piece = backend.read_body_piece()
        if piece:
            head += chunk(piece) if rechunk else piece
    connection.send(head)
    while not backend.body_finished and (piece := backend.read_body_piece()):
        connection.send(chunk(piece) if rechunk else piece)
    if rechunk:
        connection.send(LAST_CHUNK)


def _answer_head(
    exchange: Exchange, backend: ClientConnection, response: ResponseHead
) -> tuple[bytes, bool]:
    """The answer's head as this client gets it, and whether its body must be chunked for it."""
    connection = exchange.connection
    request = exchange.request
    extra = b""
    rechunk = False
    if not backend.body_finished and response.content_length is None:
        if request.minor_version:
            rechunk = True
            extra = b"\r\nTransfer-Encoding: chunked"
        else:
            connection.closing = True
    if not connection.body_finished and not request.has_body:
        connection.closing = True
    line = connection.connection_line()
    if line:
        extra += b"\r\nConnection: " + line
    return forwarded_response_head(response, extra), rechunk


def _upgrade(exchange: Exchange, backend: ClientConnection, response: ResponseHead) -> None:
    connection = exchange.connection
    connection.closing = True
    connection.send(forwarded_response_head(response, upgrade=True) + backend.buffer)
    client, server = connection.stream, backend.stream
    # Only streams over sockets get here; the type says less because tests have others.
    if isinstance(client, Stream) and isinstance(server, Stream):
        if connection.buffer:
            server.sendall(connection.buffer)
            connection.buffer = b""
        _, sent = relay(client, server)
        connection.bytes_sent += sent
