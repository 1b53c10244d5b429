"""Exchange: one request on its way through the balancer, and what its actions may use.

Place     balancer; worker.py makes one per request and hands it to an action.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from verdant.http import forwarded_response_head

if TYPE_CHECKING:
    from verdant.balancer.config import BalancerConfig
    from verdant.balancer.fleets import Fleets
    from verdant.balancer.holding import Holding
    from verdant.balancer.pages import Pages
    from verdant.balancer.routing import RuleTable
    from verdant.balancer.rules import Rule
    from verdant.http import Deadlines, Request, ResponseHead, ServerConnection

__all__ = ["Exchange", "House"]


@dataclass(frozen=True, slots=True)
class House:
    """What all requests of a worker share."""

    config: BalancerConfig
    table: RuleTable
    pages: Pages
    holding: Holding
    fleets: Fleets
    deadlines: Deadlines


class Exchange:
    """One request, the connection it came on, and the rule it met."""

    __slots__ = (
        "answer_lines",
        "backend",
        "connection",
        "held_body",
        "house",
        "internal",
        "key",
        "peer_host",
        "protocol",
        "request",
        "request_id",
        "rule",
    )

    def __init__(
        self,
        house: House,
        request: Request,
        connection: ServerConnection,
        key: bytes,
        rule: Rule,
        peer_host: str,
        internal: bool,
        protocol: bytes,
    ) -> None:
        self.house = house
        self.request = request
        self.connection = connection
        # The rule, and the name under which the table keeps it.
        self.key = key
        self.rule = rule
        self.peer_host = peer_host
        self.internal = internal
        self.protocol = protocol
        # Which backend answered, for the access log.
        self.backend: tuple[str, int] | None = None
        # Of `proxy`: a body that came whole with its head, field lines for the answer, and the id
        # under which the request is known, each b"" when there is none.
        self.held_body = b""
        self.answer_lines = b""
        self.request_id = b""

    def inform(self, response: ResponseHead) -> None:
        """Pass an informational answer on (RFC 9110 section 15.2). Parks.

        HTTP/1.0 knows none; 100 is for those who asked.
        """
        request = self.request
        if request.minor_version and (response.status != 100 or request.expect_continue):
            # Not counted: the answer is still to come.
            self.connection.stream.sendall(forwarded_response_head(response))

    def respond_failure(self, name: str) -> None:
        """Answer with the page for a failed backend. Parks while the client does not read."""
        self.connection.respond(self.house.pages.failure_page(name))

    def respond_page(self, name: str) -> None:
        """Answer with a stored page. Parks while the client does not read."""
        self.connection.respond(self.house.pages.page(name))
