"""Rulebook: the one way in which rules change.

Place     balancer; between the management API, the durable state and the table of requests.
Promise   when a change returns it is durable and every request from then on meets it; a change
          that cannot be made durable changes nothing. Changes happen one after the other.
Not here  what a rule may be (rules.py), the disk (state.py).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from verdant.balancer.errors import BadRule
from verdant.balancer.proxy_rule import Proxy, check_backends
from verdant.core import run_in_worker, spawn
from verdant.sync import Lock

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from verdant.balancer.fleets import Fleets
    from verdant.balancer.holding import Holding
    from verdant.balancer.proxy_rule import BackendEntry
    from verdant.balancer.routing import Changes, RuleTable
    from verdant.balancer.rules import Rule
    from verdant.balancer.state import State
    from verdant.balancer.statistics import Counts, Statistics

__all__ = ["Rulebook"]


class Rulebook:
    """Changes rules for everybody, and tells what requests came to. Made once, by service.py."""

    def __init__(
        self,
        state: State,
        table: RuleTable,
        holding: Holding,
        statistics: Statistics,
        fleets: Fleets,
    ) -> None:
        self._state = state
        self._table = table
        self._holding = holding
        self._statistics = statistics
        self._fleets = fleets
        self._lock = Lock()

    def rules(self) -> dict[str, Rule]:
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

    def backends(self, host: str) -> list[dict[str, object]]:
        """What is known of each backend of a host's rule. Raises `BadRule`. Does not park."""
        rule, _ = self._proxy_of(host)
        return self._fleets.describe(host, rule)

    def add_backend(self, host: str, entry: BackendEntry) -> None:
        """Add a backend to a host's rule, or give it this weight and limit. Parks.

        Raises as `set_rule`, and `BadRule` for a rule without backends.
        """
        self._change(self._write_with_backend, host, entry)

    def remove_backend(self, host: str, address: tuple[str, int], drain_s: float) -> int:
        """Take a backend out of a host's rule and let it finish what it has under way. Parks.

        Returns how many of its exchanges are not over after `drain_s` seconds; 0 when the rule does
        not name it. Raises as `add_backend`, and `BadRule` for a rule's last backend.
        """
        # Made now if there was none: who begins on this backend from here on is waited for.
        fleet = self._fleets.fleet_of(host.encode("ascii"), self._proxy_of(host)[0])
        backend = next((b for b in fleet.backends if b.address == address), None)
        self._change(self._write_without_backend, host, address)
        return 0 if backend is None else self._fleets.wait_until_empty(backend, drain_s)

    def _proxy_of(self, host: str) -> tuple[Rule, Proxy]:
        rule = self._state.rules.get(host)
        if rule is None or not isinstance(rule.arguments, Proxy):
            what = "no rule" if rule is None else f"the action {rule.action}"
            raise BadRule("host_not_proxy", f"{host} has {what}, which has no backends")
        return rule, rule.arguments

    # Read and write under one lock, so that two calls at once lose nothing.

    def _write_with_backend(self, host: str, entry: BackendEntry) -> Changes:
        rule, action = self._proxy_of(host)
        kept = [other for other in action.backends if other.address != entry.address]
        return self._write_backends(host, rule, action, [*kept, entry])

    def _write_without_backend(self, host: str, address: tuple[str, int]) -> Changes:
        rule, action = self._proxy_of(host)
        kept = [other for other in action.backends if other.address != address]
        return self._write_backends(host, rule, action, kept)

    def _write_backends(
        self, host: str, rule: Rule, action: Proxy, entries: list[BackendEntry]
    ) -> Changes:
        try:
            backends = check_backends(entries)
        except ValueError as exc:
            raise BadRule("host_kwarg_invalid:backends", f"the rule of {host} {exc}") from exc
        return self._state.set(host, replace(rule, arguments=replace(action, backends=backends)))

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
        self._fleets.rules_changed(changes.put, changes.deleted)
        self._holding.rules_changed([*changes.put, *changes.deleted])
