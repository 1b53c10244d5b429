"""Asking: one question to one log server.

Place     logs/client, on green ZeroMQ.
Promise   a server that is away, or falls silent, ends the answers with `ServerAway`; one that says
          no with its sentence. Answers that nobody wants any more are called off at the server.
Not here  several servers (reader.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from verdant.core import Timeout
from verdant.logs.errors import BadQuery, ServerAway
from verdant.logs.protocol import Answer, Question
from verdant.zmq import DEALER, LINGER, MAXMSGSIZE, NOBLOCK, ZMQError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from verdant.zmq import Context
    from verdant.zmq.security import ClientSecurity

__all__ = ["ask", "ask_once", "convert_rows"]

# For a call-off to leave in: the connection is there, or nobody hears it anyway.
CANCEL_LINGER_MS = 200
# A page has a thousand rows, each of a message and of fields at their largest; a server that sends
# more is none.
PAGE_BYTES_MAX = 1024 * 1024 * 1024

_encode = msgspec.json.Encoder().encode
_decode_answer = msgspec.json.Decoder(Answer).decode
_decode_page = msgspec.json.Decoder(list[Any]).decode


def ask(
    context: Context,
    server: str,
    question: Question,
    timeout_s: float,
    security: ClientSecurity | None = None,
) -> Iterator[tuple[Answer, list[Any]]]:
    """Each answer of `server` with its rows. Parks, at most `timeout_s` seconds for each answer.

    Raises `BadQuery` and `ServerAway`. Closing it early calls the search off.
    """
    socket = context.socket(DEALER)
    socket.setsockopt(LINGER, 0)
    socket.setsockopt(MAXMSGSIZE, PAGE_BYTES_MAX)
    if security is not None:
        security.apply(socket)
    is_done = False
    try:
        expired = Timeout(timeout_s)
        try:
            with expired:
                socket.connect(server)
                socket.send_multipart([b"", _encode(question)])
        except Timeout as exc:
            if exc is not expired:
                raise
            raise ServerAway(f"{server} does not answer: its lines are missing here") from exc
        while not is_done:
            answer, rows = _receive(socket, server, timeout_s)
            is_done = not answer.more
            yield answer, rows
    except (ServerAway, BadQuery):
        is_done = True
        raise
    finally:
        if not is_done:
            _call_off(socket)
        socket.close()


def _receive(socket: Any, server: str, timeout_s: float) -> tuple[Answer, list[Any]]:  # noqa: ANN401
    expired = Timeout(timeout_s)
    try:
        with expired:
            frames = socket.recv_multipart()
    except Timeout as exc:
        if exc is not expired:
            raise
        _call_off(socket)
        raise ServerAway(f"{server} does not answer: its lines are missing here") from exc
    try:
        answer = _decode_answer(frames[1])
        rows = [row for page in frames[2:] for row in _decode_page(page)]
    except (IndexError, msgspec.DecodeError, ValueError, RecursionError) as exc:
        raise ServerAway(f"{server} is no log server that this program knows ({exc})") from exc
    if answer.error is not None:
        if answer.position is not None:
            raise BadQuery(answer.error, answer.position)
        raise ServerAway(f"{server} could not answer: {answer.error}")
    return answer, rows


def _call_off(socket: Any) -> None:  # noqa: ANN401
    socket.setsockopt(LINGER, CANCEL_LINGER_MS)
    try:
        socket.send_multipart([b"", _encode(Question(kind="cancel"))], flags=NOBLOCK)
    except ZMQError:
        # It is away; its own bound ends the search.
        return


def ask_once(
    context: Context,
    server: str,
    question: Question,
    timeout_s: float,
    security: ClientSecurity | None = None,
) -> tuple[Answer, list[Any]]:
    """The last answer of `server` and all rows. Parks. Raises `BadQuery` and `ServerAway`."""
    rows: list[Any] = []
    last = Answer(server=server)
    for answer, some in ask(context, server, question, timeout_s, security):
        rows += some
        last = answer
    return last, rows


def convert_rows(kind: type[Any], rows: list[Any]) -> list[Any]:
    """`rows` of an answer as values of `kind`. Raises `ServerAway` for anything else."""
    try:
        return [msgspec.convert(row, kind) for row in rows]
    except msgspec.ValidationError as exc:
        raise ServerAway(f"a server's rows cannot be read ({exc})") from exc
