"""Answer: a backend's answer on its way to the client.

Place     balancer; proxy.py calls it once the answer's head is there.
Promise   each piece goes out as it comes: nothing is collected. A cut answer is never made to look
          whole: where a length or a last chunk is missing the client sees that by itself, and where
          only the end of the connection would tell, the connection is reset.
Not here  reading the answer's head, and what is said when there is none (proxy.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from verdant.balancer.forwarding import end_to_end_trailers
from verdant.http import (
    BadResponse,
    ConnectionLost,
    chunk,
    forwarded_response_head,
    last_chunk,
)
from verdant.net import Stream, relay

if TYPE_CHECKING:
    from verdant.balancer.exchange import Exchange
    from verdant.balancer.fleet import Fleet
    from verdant.http import ClientConnection, ResponseHead, ServerConnection

__all__ = ["AnswerCut", "cut_off", "pass_on"]


class AnswerCut(ConnectionLost):
    """Raised when a backend's answer broke off after its head had gone out. The backend's fault.

    The client's connection has ended with it; there is nobody to tell.
    """

    code = "balancer-answer-cut"


def pass_on(
    exchange: Exchange, fleet: Fleet, backend: ClientConnection, response: ResponseHead
) -> None:
    """Send the answer to the client, head and body. Parks.

    Raises `AnswerCut`; `BadResponse` while the client has heard nothing; OSError when the client is
    gone.
    """
    connection = exchange.connection
    connection.status = response.status
    if (
        response.plain
        and exchange.request.plain
        and not connection.closing
        and fleet.rewriting is None
        and not exchange.answer_lines
    ):
        # Both ends speak HTTP/1.1, stay open, and know the body's length.
        head = response.head + b"\r\n\r\n"
        rechunk = until_close = False
    elif response.status == 101:
        _upgrade(exchange, fleet, backend, response)
        return
    else:
        head, rechunk, until_close = _head(exchange, fleet, backend, response)
    # What is here already goes with the head, one packet instead of two; nothing is waited for.
    if backend.buffer:
        piece = backend.take_body_piece()
        if piece:
            head += chunk(piece) if rechunk else piece
    if backend.body_finished:
        if rechunk:
            head += last_chunk(end_to_end_trailers(backend.trailers))
        connection.send(head)
        return
    connection.send(head)
    try:
        _pass_body(exchange, fleet, backend, rechunk)
    except (ConnectionLost, BadResponse) as exc:
        cut_off(connection, until_close=until_close)
        what = f"nothing came for {fleet.idle_s:g} s" if backend.timed_out else str(exc)
        raise AnswerCut(f"the answer was cut: {what}") from exc
    if rechunk:
        connection.send(last_chunk(end_to_end_trailers(backend.trailers)))


def cut_off(connection: ServerConnection, *, until_close: bool) -> None:
    """See to it that an answer that broke off cannot pass for a whole one. Does not park."""
    connection.closing = True
    if until_close and isinstance(connection.stream, Stream):
        connection.stream.break_off()


def _pass_body(exchange: Exchange, fleet: Fleet, backend: ClientConnection, rechunk: bool) -> None:
    send = exchange.connection.send
    deadlines = exchange.house.deadlines
    backend.waiting_s_max = fleet.idle_s
    while not backend.body_finished:
        backend.waiting_since = deadlines.now
        try:
            piece = backend.read_body_piece()
        finally:
            backend.waiting_since = 0.0
        if piece:
            send(chunk(piece) if rechunk else piece)


def _head(
    exchange: Exchange, fleet: Fleet, backend: ClientConnection, response: ResponseHead
) -> tuple[bytes, bool, bool]:
    """The answer's head as this client gets it; whether its body must be chunked for it, and
    whether only the connection's end will show where it ends.
    """
    connection = exchange.connection
    request = exchange.request
    extra = exchange.answer_lines
    rechunk = until_close = False
    if not backend.body_finished and response.content_length is None:
        if request.minor_version:
            rechunk = True
            extra += b"\r\nTransfer-Encoding: chunked"
        else:
            connection.closing = until_close = True
    connection.judge_unread_body()
    line = connection.connection_line()
    if line:
        extra += b"\r\nConnection: " + line
    rewriting = fleet.rewriting
    if rewriting is None:
        return forwarded_response_head(response, extra), rechunk, until_close
    extra = rewriting.told_to_client(exchange) + extra
    head = forwarded_response_head(response, extra, without=rewriting.answer_without)
    return head, rechunk, until_close


def _upgrade(
    exchange: Exchange, fleet: Fleet, backend: ClientConnection, response: ResponseHead
) -> None:
    connection = exchange.connection
    connection.closing = True
    extra = exchange.answer_lines
    without = None
    if fleet.rewriting is not None:
        extra += fleet.rewriting.told_to_client(exchange)
        without = fleet.rewriting.answer_without
    head = forwarded_response_head(response, extra, without=without, upgrade=True)
    connection.send(head + backend.buffer)
    client, server = connection.stream, backend.stream
    # Only streams over sockets get here; the type says less because tests have others.
    if isinstance(client, Stream) and isinstance(server, Stream):
        if connection.buffer:
            server.sendall(connection.buffer)
            connection.buffer = b""
        received, sent = relay(client, server, fleet.idle_s)
        connection.bytes_received += received
        connection.bytes_sent += sent
