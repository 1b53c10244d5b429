"""Application: the management API as one WSGI application.

Place     balancer/api; served by service.py on a listener of its own.
Promise   nobody gets past `access`, but to /healthz and /readyz, which say nothing of the rules;
          every failure is JSON; changes are audited under the name of who asked.
Not here  Mantrid's interface (management.py), which answers where nothing else does.

    request ──▶ access ──▶ /v1/...       hosts, changes, status, openapi.json
                      ├──▶ /metrics
                      └──▶ the rest      Mantrid's
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from werkzeug.routing import Map
from werkzeug.routing import Rule as Path
from werkzeug.wrappers import Request, Response

from verdant.balancer.answering import answer_or_refuse, json_answer
from verdant.balancer.api.access import Access, Refused
from verdant.balancer.api.events import Events
from verdant.balancer.api.hosts import Hosts
from verdant.balancer.api.metrics import CONTENT_TYPE, metrics_text
from verdant.balancer.api.openapi import DOCUMENT
from verdant.balancer.audit import acting_for
from verdant.balancer.management import Management

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from wsgiref.types import StartResponse, WSGIEnvironment

    from verdant.balancer.rulebook import Rulebook

__all__ = ["ManagementApi"]

_PATHS = Map(
    [
        Path("/v1/hosts", endpoint="hosts", methods=["GET", "POST", "PUT"]),
        Path("/v1/hosts/<path:host>", endpoint="host", methods=["GET", "PUT", "DELETE"]),
        Path("/v1/changes", endpoint="changes", methods=["GET"]),
        Path("/v1/status", endpoint="status", methods=["GET"]),
        Path("/v1/openapi.json", endpoint="openapi", methods=["GET"]),
        Path("/metrics", endpoint="metrics", methods=["GET"]),
    ],
    # Hosts may be "https://name".
    merge_slashes=False,
)

OK = {"ok": True}


class ManagementApi:
    """The WSGI application. Calls may run at the same time.

    ready: whether clients should be sent here; asked by /readyz.
    """

    def __init__(
        self,
        rulebook: Rulebook,
        access: Access,
        *,
        metrics_hosts_max: int,
        ready: Callable[[], bool] = lambda: True,
    ) -> None:
        self._book = rulebook
        self._access = access
        self._metrics_hosts_max = metrics_hosts_max
        self._ready = ready
        self._mantrid = Management(rulebook)
        hosts = Hosts(rulebook)
        self._answers: dict[str, Callable[..., object]] = {
            "hosts": hosts.collection,
            "host": hosts.host,
            "changes": Events(rulebook.feed).changes,
            "status": self._status,
            "openapi": lambda _: DOCUMENT,
            "metrics": self._metrics,
        }

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request (PEP 3333). Parks."""
        request = Request(environ)
        probe = self._probe(request)
        if probe is not None:
            return probe(environ, start_response)
        try:
            acting_for.set(self._access.admit(request))
        except Refused as exc:
            refusal = json_answer({"error": exc.fault, "message": str(exc)}, exc.status)
            if exc.status == 401:
                # RFC 6750 section 3.
                refusal.headers["WWW-Authenticate"] = 'Bearer realm="verdant"'
            return refusal(environ, start_response)
        if not request.path.startswith(("/v1/", "/metrics")):
            return self._mantrid(environ, start_response)
        return self._respond(request)(environ, start_response)

    def _probe(self, request: Request) -> Response | None:
        if request.path not in ("/healthz", "/readyz"):
            return None
        if request.method not in ("GET", "HEAD"):
            response = json_answer({"error": "method_not_allowed"}, 405)
            response.allow.update(("GET", "HEAD"))
            return response
        if request.path == "/readyz" and not self._ready():
            return json_answer({"error": "stopping", "message": "the balancer is stopping"}, 503)
        return json_answer(OK)

    def _respond(self, request: Request) -> Response:
        def answer() -> object:
            endpoint, arguments = _PATHS.bind("management").match(request.path, request.method)
            return self._answers[endpoint](request, **arguments)

        return answer_or_refuse(request, answer)

    def _status(self, _: Request) -> object:
        return {
            "version": self._book.version,
            "count": len(self._book.rules()),
            "held_requests": self._book.held(),
            "held_by_host": self._book.held_by_host(),
            "totals": self._book.totals(),
        }

    def _metrics(self, _: Request) -> Response:
        text = metrics_text(self._book, self._metrics_hosts_max)
        return Response(text, content_type=CONTENT_TYPE)
