"""Client: speaks to a balancer's management API.

Place     balancer; the command line, the dashboard and tests use it.
Promise   what the API refuses is a `BadRule` with its sentence; a balancer that cannot be reached
          is an error that names the address.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import quote

from verdant.balancer.errors import BadRule, Conflict
from verdant.errors import VerdantError
from verdant.http import HttpError, request

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

__all__ = ["BalancerClient", "BalancerUnreachable", "ManagementRefused"]

DEFAULT_ADDRESS = "127.0.0.1:8042"

# As many as the API gives at once.
HOSTS_PER_PAGE = 1000

RuleJson = list[object]


class BalancerUnreachable(VerdantError):
    """Raised when the management API does not answer. Start the balancer, or name its address."""

    code = "balancer-unreachable"


class ManagementRefused(VerdantError):
    """Raised when the management API wants a token, or one that may do more than ours.

    The caller's fault; its text says which.
    """

    code = "balancer-refused"


class BalancerClient:
    """The management API at `address`. Every call parks, at most `timeout_s` seconds.

    token: shown with every call, for a balancer that has `[[balancer.tokens]]`. Calls raise
    `BalancerUnreachable`, and `ManagementRefused` without the right token.
    """

    def __init__(
        self, address: str = DEFAULT_ADDRESS, timeout_s: float = 10.0, *, token: str | None = None
    ) -> None:
        self.address = address
        self._timeout_s = timeout_s
        self._fields = [(b"Content-Type", b"application/json")]
        if token is not None:
            self._fields.append((b"Authorization", f"Bearer {token}".encode("ascii")))
        # A socket's path is no host.
        self._host = "localhost" if address.startswith("unix:") else None

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

    def edit(
        self,
        put: Mapping[str, object] | None = None,
        delete: Iterable[str] = (),
        expected: Mapping[str, str | None] | None = None,
    ) -> dict[str, object]:
        """Change several rules, all or nothing; what came of it, as POST /v1/hosts says.

        expected: the tag that each of these hosts' rules must have, None for no rule. Raises
        `Conflict` when one has another, and `BadRule`.
        """
        document = {"put": put or {}, "delete": list(delete), "if": expected or {}}
        return cast("dict[str, object]", self._ask("POST", "/v1/hosts", document))

    def hosts(self, *, inactive_since_s: float | None = None) -> Iterator[dict[str, object]]:
        """Every host with its rule, tag and counters, in the order of names. Parks for each page.

        inactive_since_s: only those that nothing asked for since (seconds since 1970).
        """
        question = f"/v1/hosts?limit={HOSTS_PER_PAGE}"
        if inactive_since_s is not None:
            question += f"&inactive_since={inactive_since_s:.3f}"
        after = ""
        while True:
            page: Any = self._ask("GET", f"{question}&after={quote(after, safe='')}")
            yield from page["hosts"]
            if page["next"] is None:
                return
            after = page["next"]

    def statistics(self) -> dict[str, dict[str, int]]:
        """Counters by host."""
        return cast("dict[str, dict[str, int]]", self._ask("GET", "/stats/"))

    def host_statistics(self, host: str) -> dict[str, int]:
        """One host's counters; zeros for one that had no request."""
        return cast("dict[str, int]", self._ask("GET", self._path("stats", host)))

    @staticmethod
    def _path(collection: str, host: str) -> str:
        return f"/{collection}/{quote(host, safe=':/')}/"

    def _ask(
        self, method: str, path: str, document: object = None, *, wait_s: float = 0.0
    ) -> object:
        body = b"" if document is None else json.dumps(document).encode()
        try:
            answer = request(
                method,
                self.address,
                path,
                host=self._host,
                headers=self._fields,
                body=body,
                timeout_s=wait_s + self._timeout_s,
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
        if answer.status == 412:
            tag = dict(answer.headers).get(b"ETag")
            raise Conflict(sentence, None if tag is None else tag.decode("ascii").strip('"'))
        if answer.status in (401, 403):
            raise ManagementRefused(f"the balancer on {self.address} refuses: {sentence}")
        raise BadRule(fault, sentence)
