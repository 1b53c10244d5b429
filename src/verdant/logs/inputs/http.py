"""HTTP: the inputs that come as requests, each answered when its lines are on disk.

Place     logs/inputs; a WSGI application, served on a listener of its own.
Promise   2xx means stored, after the store's fdatasync. 400 (malformed), 401 and 403 (no token, or
          one for other apps), 413 (too large) and 415 are for ever: nothing was stored, sending it
          again is of no use. 503 is for now. Each endpoint's client reads the answer that it knows.
Not here  what a body says (the parsers); which connections there may be (net, wsgi).

    POST  /jsonlines            JSON lines            POST  /v1/logs               OTLP
    POST  /loki/api/v1/push     Loki                  POST  /_bulk, /INDEX/_bulk   Elasticsearch
    POST  /upload               systemd-journal-upload        GET  /health, /counts
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import msgspec
from werkzeug.exceptions import HTTPException, MethodNotAllowed
from werkzeug.routing import Map
from werkzeug.routing import Rule as Path
from werkzeug.wrappers import Request, Response

from verdant.core import run_in_worker
from verdant.logs.errors import BadInput, NotStored
from verdant.logs.inputs.bodies import ENCODINGS, BodyTooLarge, unpack_body, unpack_snappy
from verdant.logs.inputs.elastic import PRODUCT, bulk_answer, read_bulk
from verdant.logs.inputs.journal import JournalParser
from verdant.logs.inputs.jsonlines import read_json_lines
from verdant.logs.inputs.loki import read_loki_json, read_loki_protobuf
from verdant.logs.inputs.otlp import read_otlp_json, read_otlp_protobuf
from verdant.logs.inputs.protowire import bytes_field
from verdant.logs.inputs.tokens import Grant, token_of
from verdant.sync import Semaphore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from wsgiref.types import StartResponse, WSGIEnvironment

    from verdant.logs.config import InputConfig
    from verdant.logs.inputs.intake import Intake
    from verdant.logs.inputs.tokens import Tokens
    from verdant.logs.record import Record

__all__ = ["HttpInput"]

# Above this a body is read in a native worker thread: the hub must not stand still.
HUB_BYTES_MAX = 32 * 1024
# All bodies that are read at once, unpacked: requests beyond it wait, unread, in their connections.
BODIES_BYTES_MAX = 256 * 1024 * 1024
# What a client that was told 503 should wait: a full disk is not freed sooner.
RETRY_AFTER_S = "1"
# What we say we are to Elasticsearch's clients, which ask before they send.
ELASTIC_VERSION = "8.17.0"

PROTOBUF = "application/x-protobuf"

_PATHS = Map(
    [
        Path("/jsonlines", endpoint="jsonlines", methods=["POST"]),
        Path("/loki/api/v1/push", endpoint="loki", methods=["POST"]),
        Path("/v1/logs", endpoint="otlp", methods=["POST"]),
        Path("/_bulk", endpoint="bulk", methods=["POST", "PUT"]),
        Path("/<index>/_bulk", endpoint="bulk", methods=["POST", "PUT"]),
        Path("/_cat/health", endpoint="elastic", methods=["GET"]),
        Path("/", endpoint="elastic", methods=["GET"]),
        Path("/upload", endpoint="journal", methods=["POST"]),
        Path("/health", endpoint="health", methods=["GET"]),
        Path("/counts", endpoint="counts", methods=["GET"]),
    ]
)


# Those that never hold a whole body.
_PIECEMEAL = frozenset({"journal", "elastic", "counts"})


class _Forbidden(Exception):
    """A line's app is none of the token's."""


class HttpInput:
    """The WSGI application. `tokens`: who may write; None lets everybody."""

    def __init__(self, intake: Intake, config: InputConfig, tokens: Tokens | None = None) -> None:
        self._intake = intake
        self._config = config
        self._tokens = tokens
        self._reading = Semaphore(max(1, BODIES_BYTES_MAX // config.body_bytes_max))
        self._answers: dict[str, Callable[..., Response]] = {
            "jsonlines": self._jsonlines,
            "loki": self._loki,
            "otlp": self._otlp,
            "bulk": self._bulk,
            "elastic": self._elastic,
            "journal": self._journal,
            "counts": self._counts,
        }

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request (PEP 3333). Parks."""
        return self._respond(Request(environ))(environ, start_response)

    def _respond(self, request: Request) -> Response:
        try:
            endpoint, arguments = _PATHS.bind("input").match(request.path, request.method)
        except MethodNotAllowed as exc:
            response = _json({"error": "method_not_allowed"}, 405)
            response.allow.update(exc.valid_methods or ())
            return response
        except HTTPException:
            return _json({"error": "not_found"}, 404)
        if endpoint == "health":
            return _json({"ok": True})
        grant = self._grant(request)
        counts = self._intake.counts
        if grant is None:
            counts.unauthorised += 1
            response = _fault(endpoint, request, 401, "a token is needed: Authorization: Bearer …")
            response.headers["WWW-Authenticate"] = "Bearer"
            return response
        try:
            if endpoint in _PIECEMEAL:
                return self._answers[endpoint](request, grant, **arguments)
            with self._reading:
                return self._answers[endpoint](request, grant, **arguments)
        except BodyTooLarge as exc:
            counts.oversized += 1
            return _fault(endpoint, request, 413, str(exc))
        except BadInput as exc:
            counts.malformed += 1
            return _fault(endpoint, request, 400, str(exc))
        except _Forbidden as exc:
            counts.unauthorised += 1
            return _fault(endpoint, request, 403, str(exc))
        except NotStored as exc:
            response = _fault(endpoint, request, 503, str(exc))
            response.headers["Retry-After"] = RETRY_AFTER_S
            return response

    def _grant(self, request: Request) -> Grant | None:
        if self._tokens is None:
            return Grant(("*",))
        token = token_of(request.headers.get("Authorization", ""))
        return None if token is None else self._tokens.find(token)

    def _app(self, grant: Grant) -> str:
        return grant.default_app or self._config.app

    def _body(self, request: Request) -> bytes:
        """The body, unpacked. Raises `BadInput`, `BodyTooLarge`. Parks."""
        bytes_max = self._config.body_bytes_max
        if (request.content_length or 0) > bytes_max:
            raise BodyTooLarge(f"the body is over {bytes_max} bytes")
        stream: Any = request.environ["wsgi.input"]
        body: bytes = stream.read(bytes_max + 1)
        encoding = request.headers.get("Content-Encoding", "")
        if encoding.lower() == "snappy":
            # Loki's clients name the packing of the block itself so.
            encoding = ""
        unpacked: bytes = _in_worker(unpack_body, body, encoding, bytes_max)
        return unpacked

    def _store(self, records: Sequence[Record], grant: Grant) -> None:
        for record in records:
            if not grant.allows(record.app):
                raise _Forbidden(f"this token may not write lines of app {record.app!r}")
        if records:
            self._intake.store(records)

    # One method for each endpoint.

    def _jsonlines(self, request: Request, grant: Grant) -> Response:
        body = self._body(request)
        records = _in_worker(read_json_lines, body, time.time_ns(), self._app(grant))
        self._store(records, grant)
        return _json({"stored": len(records)})

    def _loki(self, request: Request, grant: Grant) -> Response:
        body = self._body(request)
        if request.mimetype == "application/json":
            records = _in_worker(read_loki_json, body, time.time_ns(), self._app(grant))
        else:
            body = _in_worker(unpack_snappy, body, self._config.body_bytes_max)
            records = _in_worker(read_loki_protobuf, body, time.time_ns(), self._app(grant))
        self._store(records, grant)
        return Response(status=204)

    def _otlp(self, request: Request, grant: Grant) -> Response:
        body = self._body(request)
        if request.mimetype == "application/json":
            records = _in_worker(read_otlp_json, body, time.time_ns(), self._app(grant))
        elif request.mimetype == PROTOBUF:
            records = _in_worker(read_otlp_protobuf, body, time.time_ns(), self._app(grant))
        else:
            return _fault("otlp", request, 415, f"send {PROTOBUF} or application/json")
        self._store(records, grant)
        # An empty ExportLogsServiceResponse: nothing was refused.
        if request.mimetype == PROTOBUF:
            return Response(b"", content_type=PROTOBUF)
        return _json({})

    def _bulk(self, request: Request, grant: Grant, index: str = "-") -> Response:
        body, now_ns = self._body(request), time.time_ns()
        bulk = _in_worker(read_bulk, body, now_ns, self._app(grant), index)
        self._store(bulk.records, grant)
        self._intake.counts.malformed += sum(item.error is not None for item in bulk.items)
        answer = _json(bulk_answer(bulk.items, f"{now_ns:x}"))
        answer.headers.extend(PRODUCT)
        return answer

    def _elastic(self, _: Request, __: Grant) -> Response:
        about = {
            "name": "verdant",
            "cluster_name": "verdant",
            "status": "green",
            "version": {"number": ELASTIC_VERSION, "build_flavor": "default"},
            "tagline": "You Know, for Search",
        }
        answer = _json(about)
        answer.headers.extend(PRODUCT)
        return answer

    def _journal(self, request: Request, grant: Grant) -> Response:
        if request.headers.get("Content-Encoding"):
            return _fault("journal", request, 415, "send the journal without Content-Encoding")
        parser = JournalParser(self._config.line_bytes_max * 4, time.time_ns(), self._app(grant))
        connection: Any = request.environ["verdant.connection"]
        # Piece by piece: a journal can be larger than memory, and one that is followed has no end.
        while piece := connection.read_piece():
            self._store(parser.feed(piece), grant)
        self._store(parser.finish(), grant)
        return Response("OK.\n", content_type="text/plain")

    def _counts(self, _: Request, __: Grant) -> Response:
        return _json(self._intake.counts.numbers())


def _in_worker(read: Callable[..., Any], body: bytes, *arguments: object) -> Any:  # noqa: ANN401 - what `read` returns
    if len(body) > HUB_BYTES_MAX:
        return run_in_worker(read, body, *arguments)
    return read(body, *arguments)


def _json(answer: object, status: int = 200) -> Response:
    return Response(
        msgspec.json.encode(answer) + b"\n", status=status, content_type="application/json"
    )


def _fault(endpoint: str, request: Request, status: int, message: str) -> Response:
    """An error as the endpoint's clients read it."""
    if status == 415:
        message += f"; Content-Encoding may be {ENCODINGS}"
    if endpoint == "otlp" and request.mimetype == PROTOBUF:
        # google.rpc.Status: its second field is the message.
        status_body = bytes_field(2, message.encode())
        return Response(status_body, status=status, content_type=PROTOBUF)
    if endpoint in ("bulk", "elastic"):
        kind = "security_exception" if status in (401, 403) else "illegal_argument_exception"
        fault = _json({"error": {"type": kind, "reason": message}, "status": status}, status)
        fault.headers.extend(PRODUCT)
        return fault
    if endpoint in ("loki", "journal"):
        return Response(message + "\n", status=status, content_type="text/plain")
    return _json({"code": 3, "message": message}, status)
