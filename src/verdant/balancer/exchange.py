"""Exchange: one request on its way through the balancer, and what its actions may use.

Place     balancer; worker.py makes one per request and hands it to an action.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from verdant.balancer.config import BalancerConfig
    from verdant.balancer.holding import Holding
    from verdant.balancer.pages import Pages
    from verdant.balancer.routing import RuleTable
    from verdant.balancer.rules import Rule
    from verdant.http import ConnectionPool, Deadlines, Request, ServerConnection

__all__ = ["Exchange", "House"]


@dataclass(frozen=True, slots=True)
class House:
    """What all requests of a worker share."""

    config: BalancerConfig
    table: RuleTable
    pages: Pages
    holding: Holding
    pool: ConnectionPool
    deadlines: Deadlines


class Exchange:
    """One request, the connection it came on, and the rule it met."""

    __slots__ = (
        "backend",
        "connection",
        "house",
        "internal",
        "peer_host",
        "protocol",
        "request",
        "rule",
    )

    def __init__(
        self,
        house: House,
        request: Request,
        connection: ServerConnection,
        rule: Rule,
        peer_host: str,
        internal: bool,
        protocol: bytes,
    ) -> None:
        self.house = house
        self.request = request
        self.connection = connection
        self.rule = rule
        self.peer_host = peer_host
        self.internal = internal
        self.protocol = protocol
        # Which backend answered, for the access log.
        self.backend: tuple[str, int] | None = None

    def respond_page(self, name: str) -> None:
        """Answer with a stored page. Parks while the client does not read."""
        self.connection.respond(self.house.pages.page(name))
