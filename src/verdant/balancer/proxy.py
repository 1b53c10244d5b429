"""Proxy: one request to one backend, and its answer back.

Place     balancer, on the http floor. actions/proxy.py chooses the backend and tries again;
          upload.py sends bodies that are not all in hand, answer.py passes the answer on.
Promise   bytes stream both ways; a slow end parks this green thread, which is the back-pressure.
          Each wait for the backend has a bound: to connect, to take a body, to answer, and between
          two pieces of its answer. `BackendFailed` says whether another backend may be tried:
          nothing was sent, or the method is idempotent (RFC 9110 section 9.2.2) and its body, if
          any, is still in hand.
Not here  which backend; retries on another.

Plain functions of the exchange, few and flat: what is called here is called for every request.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from verdant.balancer.answer import pass_on
from verdant.balancer.forwarding import (
    client_address,
    external_fields,
    forward_external,
    forward_internal,
)
from verdant.balancer.upload import Upload
from verdant.errors import VerdantError
from verdant.http import BadResponse, ConnectionLost, forwarded_request_head

if TYPE_CHECKING:
    from verdant.balancer.backend import Backend
    from verdant.balancer.exchange import Exchange
    from verdant.balancer.fleet import Fleet
    from verdant.http import ClientConnection, Request, ResponseHead

__all__ = ["BackendFailed", "pass_to"]

# RFC 9110 section 9.2.2.
IDEMPOTENT = frozenset({b"GET", b"HEAD", b"OPTIONS", b"TRACE", b"PUT", b"DELETE"})

BAD_GATEWAY = 502
GATEWAY_TIMEOUT = 504


# The same for every request of a connection; a thousand clients are more than are active at once.
@lru_cache(maxsize=1024)
def _external_fields(peer_host: str, protocol: bytes) -> bytes:
    return external_fields(client_address(peer_host), protocol)


def _without_claims(head: bytes) -> bytes:
    return forward_external(head, b"")[0]


def _without_addresses(head: bytes) -> bytes:
    return forward_internal(head, b"")[0]


class BackendFailed(VerdantError):
    """Raised when a backend gave no answer. The backend's fault; nothing went to the client yet.

    `status`: what a gateway answers then, 502 or 504 (RFC 9110 section 15.6).
    """

    code = "balancer-backend-failed"

    def __init__(self, reason: str, *, may_retry: bool, status: int = BAD_GATEWAY) -> None:
        super().__init__(reason)
        self.may_retry = may_retry
        self.status = status


def pass_to(exchange: Exchange, fleet: Fleet, backend: Backend) -> None:
    """Send the request to `backend` and pass its answer on. Parks.

    Raises `BackendFailed` while the client has heard nothing, `ConnectionLost` later.
    """
    exchange.backend = backend.address
    idle = backend.idle.borrow()
    if idle is not None:
        try:
            _exchange_over(exchange, fleet, backend, idle)
        except BackendFailed as exc:
            # An idle connection may end just as it is used (RFC 9112 section 9.3.1); that says
            # nothing about the backend, so a new one is worth its while.
            if not exc.may_retry or idle.timed_out:
                raise
        else:
            return
    try:
        fresh = backend.idle.connect(fleet.connect_s)
    except TimeoutError as exc:
        raise BackendFailed(
            f"it did not accept a connection within {fleet.connect_s:g} s",
            may_retry=True,
            status=GATEWAY_TIMEOUT,
        ) from exc
    except OSError as exc:
        raise BackendFailed(f"cannot connect ({exc})", may_retry=True) from exc
    _exchange_over(exchange, fleet, backend, fresh)


def _exchange_over(
    exchange: Exchange, fleet: Fleet, backend: Backend, connection: ClientConnection
) -> None:
    """One exchange on one connection, which is kept afterwards if it may be."""
    whole = False
    try:
        whole = _carry(exchange, fleet, connection)
    except BadResponse as exc:
        raise BackendFailed(str(exc), may_retry=False) from exc
    finally:
        if whole and not backend.removed:
            backend.idle.give_back(connection)
        else:
            backend.idle.discard(connection)


def _carry(exchange: Exchange, fleet: Fleet, backend: ClientConnection) -> bool:
    """Both directions of one exchange. Returns True when the whole request went out."""
    request = exchange.request
    upload: Upload | None = None
    if request.has_body:
        if not exchange.held_body:
            exchange.held_body = _body_in_hand(exchange)
        if not exchange.held_body:
            upload = Upload(exchange, fleet, backend)
    message = _head(exchange, fleet, b"" if upload is None else upload.begin())
    try:
        backend.stream.sendall(message + exchange.held_body if exchange.held_body else message)
    except OSError as exc:
        reason = f"the connection broke while sending ({exc})"
        raise BackendFailed(reason, may_retry=_may_resend(exchange)) from exc
    if upload is None:
        pass_on(exchange, fleet, backend, _read_response(exchange, fleet, backend))
        return True
    upload.start()
    try:
        response = _read_response(exchange, fleet, backend, upload)
        upload.answered = True
        pass_on(exchange, fleet, backend, response)
    except (BackendFailed, BadResponse, ConnectionLost):
        upload.stop()
        # When the client's own body broke the exchange, that is what it must hear.
        upload.raise_fault()
        raise
    except BaseException:
        upload.stop()
        raise
    return upload.end()


def _head(exchange: Exchange, fleet: Fleet, extra: bytes) -> bytes:
    """The request's head as its backend gets it. `extra`: more field lines."""
    request = exchange.request
    if fleet.rewriting is not None:
        return fleet.rewriting.request_head(exchange, extra)
    if not exchange.internal:
        fields = _external_fields(exchange.peer_host, exchange.protocol)
        if request.plain:
            return b"%b%b\r\n\r\n" % (request.head, fields)
        without = _without_claims if request.forwarded else None
    else:
        _, fields = forward_internal(
            request.head, client_address(exchange.peer_host), exchange.protocol
        )
        without = _without_addresses if request.forwarded else None
    return forwarded_request_head(
        request, fields + extra, without=without, upgrade=request.upgrade is not None
    )


def _may_resend(exchange: Exchange) -> bool:
    request: Request = exchange.request
    return request.method in IDEMPOTENT and (not request.has_body or bool(exchange.held_body))


def _body_in_hand(exchange: Exchange) -> bytes:
    """A body that came whole with its head, ready to go with it in one packet, and again."""
    connection = exchange.connection
    request = exchange.request
    if request.chunked or len(connection.buffer) < (request.content_length or 0):
        return b""
    return connection.read_piece()


def _read_response(
    exchange: Exchange, fleet: Fleet, backend: ClientConnection, upload: Upload | None = None
) -> ResponseHead:
    backend.waiting_s_max = fleet.head_s
    tell = exchange.inform
    if upload is not None:
        tell = upload.inform
    if upload is None or exchange.request.expect_continue:
        backend.waiting_since = exchange.house.deadlines.now
    # Else a body goes out, and the upload bounds the waits; the answer is due when it is out.
    try:
        response = backend.read_response(exchange.request.method, tell)
        if response.status == 101 and exchange.request.upgrade is None:
            raise BadResponse("the answer changes the protocol, which nobody asked for")
    except ConnectionLost as exc:
        if backend.timed_out:
            raise BackendFailed(
                f"it did not answer within {fleet.head_s:g} s",
                may_retry=False,
                status=GATEWAY_TIMEOUT,
            ) from exc
        if upload is not None and upload.timed_out:
            raise BackendFailed(
                f"it took nothing of the body for {fleet.idle_s:g} s",
                may_retry=False,
                status=GATEWAY_TIMEOUT,
            ) from exc
        raise BackendFailed(str(exc), may_retry=_may_resend(exchange)) from exc
    finally:
        backend.waiting_since = 0.0
    return response
