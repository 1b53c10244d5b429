"""Proxy: one request to one backend, and its answer back.

Place     balancer, on the http floor. actions/proxy.py chooses the backend and tries again.
Promise   bytes stream both ways; a slow end parks this green thread, which is the back-pressure.
          A cut answer is never made to look whole: the client's connection breaks with it.
Not here  which backend; retries on another.

The answer is read here while a request body that is not all in hand is sent by a green thread of
its own: a backend may answer before it has read everything, and must not wait for us to listen.
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

__all__ = ["Attempt", "BackendFailed"]

# RFC 9110 section 9.2.2.
IDEMPOTENT = frozenset({b"GET", b"HEAD", b"OPTIONS", b"TRACE", b"PUT", b"DELETE"})


# The same for every request of a connection; a thousand clients are more than are active at once.
@lru_cache(maxsize=1024)
def _external_fields(peer_host: str) -> bytes:
    return external_fields(client_address(peer_host))


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


class Attempt:
    """One try to have `backend` answer the exchange's request."""

    __slots__ = ("_backend", "_exchange")

    def __init__(self, exchange: Exchange, backend: tuple[str, int]) -> None:
        self._exchange = exchange
        self._backend = backend

    def run(self) -> None:
        """Send the request and pass the answer on. Parks.

        Raises `BackendFailed` while the client has heard nothing, `ConnectionLost` later.
        """
        exchange = self._exchange
        exchange.backend = self._backend
        pool = exchange.house.pool
        idle = pool.borrow_idle(self._backend)
        if idle is not None:
            try:
                self._exchange_over(idle)
            except BackendFailed as exc:
                # An idle connection may end just as it is used (RFC 9112 section 9.3.1); that says
                # nothing about the backend, so a new one is worth its while.
                if not exc.may_retry or idle.timed_out:
                    raise
            else:
                return
        try:
            fresh = pool.connect(self._backend, exchange.house.config.backend_connect_timeout_s)
        except OSError as exc:
            raise BackendFailed(f"cannot connect ({exc})", may_retry=True) from exc
        exchange.house.deadlines.add(fresh)
        self._exchange_over(fresh)

    def _exchange_over(self, backend: ClientConnection) -> None:
        kept = False
        try:
            kept = self._carry(backend)
        finally:
            if kept:
                self._exchange.house.pool.give_back(self._backend, backend)
            else:
                self._exchange.house.deadlines.remove(backend)
                backend.close()

    def _carry(self, backend: ClientConnection) -> bool:
        """Both directions of one exchange. Returns True when the connection may be kept."""
        exchange = self._exchange
        request = exchange.request
        message = self._head()
        sender: GreenThread[None] | None = None
        try:
            if request.has_body and not exchange.connection.body_finished:
                message += self._body_in_hand()
                backend.stream.sendall(message)
                if not exchange.connection.body_finished:
                    sender = spawn(self._send_body, backend, name="request body")
            else:
                backend.stream.sendall(message)
        except OSError as exc:
            raise BackendFailed(
                f"the connection broke while sending ({exc})", may_retry=self._may_resend()
            ) from exc
        try:
            response = self._read_response(backend)
            self._pass_on(backend, response)
        except BaseException:
            if sender is not None:
                sender.cancel()
                sender.join()
            raise
        if sender is not None:
            return self._end_body(sender) and backend.reusable
        return backend.reusable

    def _head(self) -> bytes:
        """The request's head as this backend gets it."""
        exchange = self._exchange
        request = exchange.request
        if exchange.internal:
            client = client_address(exchange.peer_host)
            head, extra = forward_internal(request.head, client)
        else:
            head, extra = forward_external(request.head, _external_fields(exchange.peer_host))
        # Nearly no request brings such fields, and then there is nothing to take out.
        without = None
        if head is not request.head:
            without = _without_addresses if exchange.internal else _without_claims
        return forwarded_request_head(
            request, extra, without=without, upgrade=request.upgrade is not None
        )

    def _may_resend(self) -> bool:
        request = self._exchange.request
        return request.method in IDEMPOTENT and not request.has_body

    def _body_in_hand(self) -> bytes:
        """A body that came whole with its head, ready to go with it in one packet."""
        connection = self._exchange.connection
        request = self._exchange.request
        if request.chunked or len(connection.buffer) < (request.content_length or 0):
            return b""
        return connection.read_piece()

    def _send_body(self, backend: ClientConnection) -> None:
        # In a green thread of its own.
        connection = self._exchange.connection
        send = backend.stream.sendall
        chunked = self._exchange.request.chunked
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

    def _end_body(self, sender: GreenThread[None]) -> bool:
        """After the answer: True when the whole body went out as well."""
        connection = self._exchange.connection
        if not sender.done:
            # The backend answered without wanting the rest. Reading it away is the client
            # connection's affair; this one cannot be used again.
            sender.cancel()
            sender.join()
        if connection.body_finished:
            return True
        connection.closing = True
        return False

    def _read_response(self, backend: ClientConnection) -> ResponseHead:
        house = self._exchange.house
        backend.waiting_s_max = house.config.backend_response_timeout_s
        backend.waiting_since = house.deadlines.now
        try:
            return backend.read_response(self._exchange.request.method)
        except ConnectionLost as exc:
            if backend.timed_out:
                raise BackendFailed("it did not answer in time", may_retry=False) from exc
            raise BackendFailed(str(exc), may_retry=self._may_resend()) from exc
        except BadResponse as exc:
            raise BackendFailed(str(exc), may_retry=False) from exc
        finally:
            backend.waiting_since = 0.0

    def _pass_on(self, backend: ClientConnection, response: ResponseHead) -> None:
        exchange = self._exchange
        connection = exchange.connection
        connection.status = response.status
        if response.status == 101:
            self._upgrade(backend, response)
            return
        request = exchange.request
        no_body = backend.body_finished
        extra = b""
        rechunk = False
        if not no_body and (response.chunked or response.content_length is None):
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
        head = forwarded_response_head(response, extra)
        if no_body:
            connection.send(head)
            return
        # The first piece goes with the head, one packet instead of two, when it is here already.
        if backend.buffer:
            piece = backend.read_piece()
            if piece:
                head += chunk(piece) if rechunk else piece
        connection.send(head)
        while piece := backend.read_piece():
            connection.send(chunk(piece) if rechunk else piece)
        if rechunk:
            connection.send(LAST_CHUNK)

    def _upgrade(self, backend: ClientConnection, response: ResponseHead) -> None:
        connection = self._exchange.connection
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
