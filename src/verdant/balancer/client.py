"""Client: speaks to a balancer's management API.

Place     balancer; the command line, the dashboard and tests use it.
Promise   what the API refuses is a `BadRule` with its sentence; a balancer that cannot be reached
          is an error that names the address.
"""

from __future__ import annotations

import json
from typing import cast
from urllib.parse import quote

from verdant.balancer.errors import BadRule
from verdant.errors import VerdantError
from verdant.http import HttpError, request

__all__ = ["BalancerClient", "BalancerUnreachable"]

DEFAULT_ADDRESS = "127.0.0.1:8042"

RuleJson = list[object]


class BalancerUnreachable(VerdantError):
    """Raised when the management API does not answer. Start the balancer, or name its address."""

    code = "balancer-unreachable"


class BalancerClient:
    """The management API at `address`. Every call parks, at most `timeout_s` seconds."""

    def __init__(self, address: str = DEFAULT_ADDRESS, timeout_s: float = 10.0) -> None:
        self.address = address
        self._timeout_s = timeout_s

    def rules(self) -> dict[str, RuleJson]:
        """All rules by host, as they travel: [action, arguments, match_subdomains]."""
        return cast("dict[str, RuleJson]", self._ask("GET", "/hostname/"))

    def rule(self, host: str) -> RuleJson | None:
        """One host's rule, or None."""
        return cast("RuleJson | None", self._ask("GET", self._path("hostname", host)))

    def set_rule(self, host: str, rule: RuleJson) -> None:
        """Give a host a rule; durable and in force when this returns. Raises `BadRule`."""
        self._ask("PUT", self._path("hostname", host), rule)

    def replace_rules(self, rules: dict[str, RuleJson]) -> None:
        """Have these rules and no others. Raises `BadRule`."""
        self._ask("PUT", "/hostname/", rules)

    def delete_rule(self, host: str) -> None:
        """Take a host's rule away; no error when it has none."""
        self._ask("DELETE", self._path("hostname", host))

    def backends(self, host: str) -> list[dict[str, object]]:
        """What is known of each backend of a host's rule. Raises `BadRule`."""
        path = self._path("hostname", host) + "backends/"
        return cast("list[dict[str, object]]", self._ask("GET", path))

    def add_backend(self, host: str, backend: object) -> None:
        """Add a backend ("host:port", or an object) to a host's rule. Raises `BadRule`."""
        self._ask("POST", self._path("hostname", host) + "backends/", backend)

    def remove_backend(self, host: str, address: str, drain_s: float = 30.0) -> int:
        """Take a backend out of a host's rule; returns once it has nothing under way.

        Or after `drain_s` seconds: the number of requests that it then still has. Raises `BadRule`.
        """
        path = f"{self._path('hostname', host)}backends/{quote(address, safe=':[]')}/"
        answer = self._ask("DELETE", f"{path}?drain_s={drain_s:g}", wait_s=drain_s)
        return cast("dict[str, int]", answer)["open_requests"]

    def statistics(self) -> dict[str, dict[str, int]]:
        """Counters by host."""
        return cast("dict[str, dict[str, int]]", self._ask("GET", "/stats/"))

    @staticmethod
    def _path(collection: str, host: str) -> str:
        return f"/{collection}/{quote(host, safe=':/')}/"

    def _ask(
        self, method: str, path: str, document: object = None, *, wait_s: float = 0.0
    ) -> object:
        body = b"" if document is None else json.dumps(document).encode()
        try:
            answer = request(
                method, self.address, path, body=body, timeout_s=wait_s + self._timeout_s
            )
        except (OSError, HttpError) as exc:
            raise BalancerUnreachable(
                f"no balancer answers on {self.address} ({exc}): start one with `verdant up`, or "
                "name its management address with --management"
            ) from exc
        try:
            found = json.loads(answer.read())
        except ValueError as exc:
            raise BalancerUnreachable(
                f"what answers on {self.address} is not a balancer's management API"
            ) from exc
        if answer.status == 200:
            return found
        fault = str(found.get("error")) if isinstance(found, dict) else f"status {answer.status}"
        sentence = str(found.get("message", fault)) if isinstance(found, dict) else fault
        raise BadRule(fault, sentence)
