"""Handler: a WSGI application (PEP 3333) as a handler of the http server.

Place     wsgi; the balancer's management and serving.py run it.
Promise   what the application returned is closed whatever happens: an error, a client that left, a
          server that stops. Its failure is a 500 and a line in the log; once bytes are out, the
          connection ends in a way that no client takes for the end of the answer.
Not here  accepting and time limits (http/server.py).

    request ──▶ limits ──▶ environ ──▶ application ──▶ answer ──▶ close() ──▶ access line
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any

from verdant.core import monotonic
from verdant.http import HEAD_BYTES_MAX, TARGET_BYTES_MAX, BadRequest, Response
from verdant.net import Stream, TlsStream
from verdant.wsgi.access import AccessEntry
from verdant.wsgi.answer import Answer
from verdant.wsgi.environ import add_request, base_environ
from verdant.wsgi.files import FileWrapper
from verdant.wsgi.input import Input

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from wsgiref.types import WSGIApplication

    from verdant.http import Request, ServerConnection

    Handler = Callable[[Request, ServerConnection], Response | None]

__all__ = ["wsgi_handler"]

# Clients choose what an idle connection holds on to; browsers' heads are below it.
HEAD_BYTES_REMEMBERED_MAX = 4096

_log = logging.getLogger("verdant.wsgi")


def wsgi_handler(
    application: WSGIApplication,
    *,
    note: Callable[[AccessEntry], object] | None = None,
    keep_alive: bool = True,
    head_bytes_max: int = HEAD_BYTES_MAX,
    url_bytes_max: int = TARGET_BYTES_MAX,
    body_bytes_max: int | None = None,
    environ: Mapping[str, object] | None = None,
    errors: object = None,
) -> Handler:
    """A handler for `HttpServer` that asks `application`.

    note: hears of every request when it is over. keep_alive: False ends a connection after its
    first answer. head_bytes_max, url_bytes_max: a longer head is refused with 431, a longer
    target with 414; neither can be above what the parser takes. body_bytes_max: a longer body is
    refused with 413; None takes any. environ: variables for every request, above the server's own.
    errors: `wsgi.errors`, stderr when left out. Raises ValueError for limits above the parser's.
    """
    if head_bytes_max > HEAD_BYTES_MAX or url_bytes_max > TARGET_BYTES_MAX:
        raise ValueError(
            f"a head can have {HEAD_BYTES_MAX} bytes, and a URL {TARGET_BYTES_MAX}, at the most"
        )

    def variables_of(request: Request, connection: ServerConnection) -> dict[str, Any]:
        if len(request.target) > url_bytes_max:
            raise BadRequest(414, f"The target is longer than {url_bytes_max} bytes.")
        if len(request.head) > head_bytes_max:
            raise BadRequest(431, f"The head is over {head_bytes_max} bytes.")
        base: Any = connection.memory
        if base is None:
            # The same for every request of a connection.
            base = connection.memory = base_environ(*_ends_of(connection), errors)
            base["wsgi.file_wrapper"] = FileWrapper
            # For what WSGI has no words for: WebSockets (upgrade.py), or anything else that takes
            # the connection over.
            base["verdant.connection"] = connection
        variables: dict[str, Any] = base.copy()
        variables["verdant.request"] = request
        add_request(variables, request)
        if environ:
            variables.update(environ)
        return variables

    def handle(request: Request, connection: ServerConnection) -> None:
        variables = variables_of(request, connection)
        if request.content_length or request.chunked:
            if body_bytes_max is not None and (request.content_length or 0) > body_bytes_max:
                raise BadRequest(413, f"The body is over {body_bytes_max} bytes.")
            variables["wsgi.input"] = Input(connection, body_bytes_max)
        if not keep_alive:
            connection.closing = True
        _ask(application, variables, Answer(request, connection), connection)

    return handle if note is None else _noting(handle, note)


def _noting(handle: Handler, note: Callable[[AccessEntry], object]) -> Handler:
    failures = 0

    def note_or_tell(entry: AccessEntry) -> None:
        nonlocal failures
        try:
            note(entry)
        except Exception:  # noqa: BLE001 - a full disk must not end the serving; told once
            failures += 1
            if failures == 1:
                _log.exception("the access log failed; later failures are not told")

    def handle_and_note(request: Request, connection: ServerConnection) -> None:
        began = monotonic()
        try:
            handle(request, connection)
        except BadRequest as exc:
            # Answered by whoever called us; to a reader of the log it is an answer like any other.
            connection.status = connection.status or exc.status
            raise
        finally:
            note_or_tell(
                AccessEntry(
                    _peer_of(connection)[0],
                    time.time(),
                    request.method.decode("latin-1"),
                    request.target.decode("latin-1"),
                    f"HTTP/1.{request.minor_version}",
                    connection.status,
                    connection.bytes_sent,
                    monotonic() - began,
                )
            )

    return handle_and_note


def _peer_of(connection: ServerConnection) -> tuple[str, int]:
    stream = connection.stream
    peer = stream.peer if isinstance(stream, Stream) else None
    # A unix socket's peer has no address.
    return (peer[0], peer[1]) if isinstance(peer, tuple) else ("unix", 0)


def _ends_of(connection: ServerConnection) -> tuple[tuple[str, int], tuple[str, int], str]:
    """The server's address, the client's, and the scheme between them."""
    stream = connection.stream
    scheme = "https" if isinstance(stream, TlsStream) else "http"
    name = stream.socket.getsockname() if isinstance(stream, Stream) else None
    if isinstance(name, tuple):
        return (name[0], name[1]), _peer_of(connection), scheme
    return ("localhost", 443 if scheme == "https" else 80), _peer_of(connection), scheme


def _ask(
    application: WSGIApplication,
    variables: dict[str, Any],
    answer: Answer,
    connection: ServerConnection,
) -> None:
    try:
        result = application(variables, answer.start)
        try:
            if connection.taken_over:
                # The application spoke to the client itself; the next request is another matter.
                connection.taken_over = False
            else:
                answer.send(result)
        finally:
            close = getattr(result, "close", None)
            if close is not None:
                close()
    except BadRequest:
        # The client's body is at fault, and the application let it pass.
        if connection.bytes_sent:
            _cut(answer, connection)
        raise
    except Exception:  # noqa: BLE001 - an application's bug must not end the server; it is told
        if connection.lost:
            # The client's fault, or what the application made of it.
            _log.debug("the client left before its answer was out", exc_info=True)
            connection.closing = True
            _cut(answer, connection)
            return
        _log.exception("the application failed at %s", variables.get("RAW_URI"))
        connection.closing = True
        if connection.bytes_sent:
            _cut(answer, connection)
        else:
            connection.respond(_FAILED)


_FAILED = Response(500, [(b"Content-Type", b"text/plain; charset=utf-8")], b"Internal error.\n")


def _cut(answer: Answer, connection: ServerConnection) -> None:
    # Chunks and lengths tell a client that the end is missing. Where the end of the connection
    # ends the body, only an error does.
    stream = connection.stream
    if answer.cut_is_hidden and isinstance(stream, Stream):
        stream.break_off()
    else:
        stream.abort()
