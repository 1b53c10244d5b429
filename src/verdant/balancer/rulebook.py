"""Rulebook: the one way in which rules change.

Place     balancer; between the management API, the durable state and the table of requests.
Promise   when a change returns it is durable and every request from then on meets it; a change
          that cannot be made durable changes nothing. Changes happen one after the other.
Not here  what a rule may be (rules.py), the disk (state.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from verdant.core import run_in_worker, spawn
from verdant.sync import Lock

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from verdant.balancer.holding import Holding
    from verdant.balancer.routing import Changes, RuleTable
    from verdant.balancer.rules import Rule
    from verdant.balancer.statistics import Counts, Statistics
    from verdant.balancer.stores import StateStore

__all__ = ["Rulebook"]


class Rulebook:
    """Changes rules for everybody, and tells what requests came to. Made once, by service.py."""

    def __init__(
        self, state: StateStore, table: RuleTable, holding: Holding, statistics: Statistics
    ) -> None:
        self._state = state
        self._table = table
        self._holding = holding
        self._statistics = statistics
        self._lock = Lock()

    def rules(self) -> Mapping[str, Rule]:
        """All rules by host, as they are durable now; read only. Does not park."""
        return self._state.rules

    def set_rule(self, host: str, rule: Rule) -> None:
        """Give `host` a rule. Parks until it is durable. Raises `BadRule`, `StateUnwritable`."""
        self._change(self._state.set, host, rule)

    def delete_rule(self, host: str) -> None:
        """Take a host's rule away. Parks until that is durable. Raises as `set_rule`."""
        self._change(self._state.delete, host)

    def replace_rules(self, rules: Mapping[str, Rule]) -> None:
        """Have these rules and no others, in one step. Parks. Raises as `set_rule`."""
        self._change(self._state.replace_all, rules)

    def statistics(self) -> dict[str, Counts]:
        """Counters by host. Does not park."""
        return self._statistics.snapshot()

    def _change(self, write: Callable[..., Changes], *args: object) -> None:
        # In a green thread of its own: a caller that is cancelled half-way must not leave a rule
        # that is durable and not in force.
        changing = spawn(self._write_and_take, write, args, name="rule change")
        changing.wait()

    def _write_and_take(self, write: Callable[..., Changes], args: tuple[object, ...]) -> None:
        with self._lock:
            self._take(run_in_worker(write, *args))

    def _take(self, changes: Changes) -> None:
        for host, rule in changes.put.items():
            self._table.set(host, rule)
        for host in changes.deleted:
            self._table.delete(host)
        self._statistics.retire(host.encode("ascii") for host in changes.deleted)
        self._holding.rules_changed([*changes.put, *changes.deleted])
