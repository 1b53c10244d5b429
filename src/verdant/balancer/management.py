"""Management: the REST interface to rules and statistics, Mantrid's to the letter.

Place     balancer; a WSGI application, served on a listener of its own. It knows the rules only
          through `RulesPort`, which the rulebook is.
Promise   `{"ok": true}` to PUT or DELETE means done: durable, and met by every request since. Bad
          input is a 400 that names the fault and changes nothing; no input makes a 500.
Not here  what a rule may say (rules.py); who may ask (api/access.py); the interface under /v1
          (api/).

    GET    /hostname/      all rules         PUT    /hostname/      replace all
    GET    /hostname/H/    one, or null      PUT    /hostname/H/    set one
    DELETE /hostname/H/    remove one        GET    /stats/  /stats/H/  /health/

    GET    /hostname/H/backends/              what is known of each backend of H's rule
    POST   /hostname/H/backends/              add one, "host:port" or {"address": ..., "weight": 2}
    DELETE /hostname/H/backends/HOST:PORT/    remove one; answers once it has nothing under way, or
                                              after ?drain_s=30 seconds

Bodies are JSON whatever their Content-Type says, and are not looked at with GET and DELETE:
Mantrid's client sends no Content-Type, and the body `null` with both. H may be `https://name`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import msgspec
from werkzeug.exceptions import NotFound
from werkzeug.routing import Map
from werkzeug.routing import Rule as Path
from werkzeug.wrappers import Request, Response

from verdant.balancer.answering import answer_or_refuse, read_body
from verdant.balancer.errors import BadRule
from verdant.balancer.proxy_rule import read_backend
from verdant.balancer.readers import seconds
from verdant.balancer.rules import Rule, normalise_host, parse_rule, parse_rules
from verdant.balancer.statistics import HostCounters
from verdant.core import sleep

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from wsgiref.types import StartResponse, WSGIEnvironment

    from verdant.balancer.proxy_rule import BackendEntry

__all__ = ["Management", "RulesPort"]

# One rule: as many backends as a rule may have, with the longest names.
RULE_BODY_BYTES_MAX = 512 * 1024
# All rules: a million hosts with a backend each take some 80 MB.
RULES_BODY_BYTES_MAX = 256 * 1024 * 1024
# How many rules become JSON before others get their turn.
RULES_PER_PIECE = 500

_PATHS = Map(
    [
        Path("/hostname/", endpoint="hosts", methods=["GET", "PUT"]),
        Path("/hostname/<path:host>/", endpoint="host", methods=["GET", "PUT", "DELETE"]),
        Path("/hostname/<path:host>/backends/", endpoint="backends", methods=["GET", "POST"]),
        Path("/hostname/<path:host>/backends/<address>/", endpoint="backend", methods=["DELETE"]),
        Path("/stats/", endpoint="statistics", methods=["GET"]),
        Path("/stats/<path:host>/", endpoint="host_statistics", methods=["GET"]),
        Path("/health/", endpoint="health", methods=["GET"]),
    ],
    # Hosts may be "https://name".
    merge_slashes=False,
)

# How long a removed backend may take to finish; an hour is the longest that a caller may ask for.
DRAIN_S_DEFAULT = 30
DRAIN_S_MAX = 3600.0

_read_drain_s = seconds(DRAIN_S_MAX)

OK = {"ok": True}


class RulesPort(Protocol):
    """What this interface needs of the balancer behind it. Its calls may park.

    Changes return when they are durable and every request meets them; they raise `BadRule` or
    `StateUnwritable`, and then have changed nothing.
    """

    def rules(self) -> Mapping[str, Rule]:
        """All rules by host; read only."""
        ...

    def set_rule(self, host: str, rule: Rule) -> None:
        """Keep `rule` for `host`."""
        ...

    def delete_rule(self, host: str) -> None:
        """Keep no rule for `host`; fine when there was none."""
        ...

    def replace_rules(self, rules: Mapping[str, Rule]) -> None:
        """Keep exactly `rules`, in one step."""
        ...

    def backends(self, host: str) -> list[dict[str, object]]:
        """What is known of each backend of the rule of `host`."""
        ...

    def add_backend(self, host: str, entry: BackendEntry) -> None:
        """Add a backend to the rule of `host`, or change it."""
        ...

    def remove_backend(self, host: str, address: tuple[str, int], drain_s: float) -> int:
        """Take a backend out of the rule of `host`; how much it still has under way."""
        ...

    def statistics(self) -> Mapping[str, Mapping[str, int]]:
        """The four counters by host."""
        ...


class Management:
    """The WSGI application. It keeps nothing; calls may run at the same time."""

    def __init__(self, port: RulesPort) -> None:
        self._port = port
        self._answers: dict[str, Callable[..., object]] = {
            "hosts": self._hosts,
            "host": self._host,
            "backends": self._backends,
            "backend": self._backend,
            "statistics": self._statistics,
            "host_statistics": self._host_statistics,
            "health": self._health,
        }

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request (PEP 3333). Parks."""
        return self._respond(Request(environ))(environ, start_response)

    def _respond(self, request: Request) -> Response:
        # The trailing slash is optional, and redirecting a PUT helps nobody. Werkzeug's own
        # `strict_slashes=False` takes a second slash too, and forgets which methods are allowed.
        path = request.path if request.path.endswith("/") else request.path + "/"

        def answer() -> object:
            # Not by the request's Host: the answer does not depend on how we are called.
            endpoint, arguments = _PATHS.bind("management").match(path, request.method)
            return self._answers[endpoint](request, **arguments)

        return answer_or_refuse(request, answer)

    # One method for each endpoint; what it returns becomes the answer's JSON.

    def _hosts(self, request: Request) -> object:
        if request.method == "PUT":
            self._port.replace_rules(read_body(request, RULES_BODY_BYTES_MAX, parse_rules))
            return OK
        rules = list(self._port.rules().items())
        if len(rules) <= RULES_PER_PIECE:
            return {host: rule.to_json() for host, rule in rules}
        return Response(_pieces(rules), content_type="application/json")

    def _host(self, request: Request, host: str) -> object:
        if request.method == "PUT":
            name = normalise_host(host)
            self._port.set_rule(name, read_body(request, RULE_BODY_BYTES_MAX, parse_rule))
            return OK
        known = _known_name(host)
        if request.method == "DELETE":
            if known is not None:
                self._port.delete_rule(known)
            return OK
        rule = self._port.rules().get(known) if known is not None else None
        return rule.to_json() if rule is not None else None

    def _backends(self, request: Request, host: str) -> object:
        name = normalise_host(host)
        if request.method == "GET":
            return self._port.backends(name)
        self._port.add_backend(name, read_body(request, RULE_BODY_BYTES_MAX, _backend_entry))
        return OK

    def _backend(self, request: Request, host: str, address: str) -> object:
        name = normalise_host(host)
        entry = _backend_entry(address)
        try:
            drain_s = _read_drain_s(request.args.get("drain_s", str(DRAIN_S_DEFAULT)))
        except ValueError as exc:
            raise BadRule("drain_s_invalid", f"drain_s {exc}") from exc
        left = self._port.remove_backend(name, entry.address, drain_s)
        return {"ok": True, "open_requests": left}

    def _statistics(self, _: Request) -> object:
        return self._port.statistics()

    def _host_statistics(self, _: Request, host: str) -> object:
        # "*" stands for all hosts without a rule, and is no name that normalise_host lets pass.
        known = host if host == "*" else _known_name(host)
        counts = self._port.statistics().get(known) if known is not None else None
        return counts if counts is not None else HostCounters().counts()

    def _health(self, _: Request) -> object:
        return OK


def _backend_entry(value: object) -> BackendEntry:
    try:
        return read_backend(value)
    except ValueError as exc:
        raise BadRule("backend_invalid", f"the call {exc}") from exc


def _pieces(rules: list[tuple[str, Rule]]) -> Iterator[bytes]:
    """The rules as one JSON object, some at a time; parks between two pieces."""
    for start in range(0, len(rules), RULES_PER_PIECE):
        piece = {host: rule.to_json() for host, rule in rules[start : start + RULES_PER_PIECE]}
        yield (b",\n" if start else b"{") + msgspec.json.encode(piece)[1:-1]
        sleep()
    yield b"}\n"


def _known_name(host: str) -> str | None:
    """The name under which a rule for `host` is kept; None for what no rule can be kept under.

    Raises NotFound for a path with more parts than the interface has.
    """
    try:
        return normalise_host(host)
    except BadRule:
        if "/" in host.removeprefix("http://").removeprefix("https://"):
            raise NotFound from None
        return None
