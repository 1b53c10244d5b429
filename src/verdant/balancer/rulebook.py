"""Rulebook: the one way in which rules change.

Place     balancer; between the management API, the durable state and the table of requests.
Promise   when a change returns it is durable and every request from then on meets it; a change
          that cannot be made durable changes nothing. Changes happen one after the other.
Not here  what a rule may be (rules.py), the disk (state.py).
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

from verdant.balancer.audit import acting_for
from verdant.balancer.chronicle import Chronicle, rules_before
from verdant.balancer.edits import Applied, Edit, check
from verdant.balancer.errors import BadRule, StateUnwritable
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
        self._chronicle = Chronicle(state.version)
        self.feed = self._chronicle.feed
        self.activity = self._chronicle.activity

    @property
    def version(self) -> int:
        """The table's version: goes up with each change, and is kept on disk."""
        return self.feed.version

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

    def apply(self, edit: Edit) -> Applied:
        """Make an edit whole or not at all, in one write. Parks.

        Raises as `set_rule`, and `Conflict` when a condition of the edit does not hold.
        """
        changes = self._change(self._write_edit, edit)
        return Applied(self.version, len(changes.put), len(changes.deleted))

    def _write_edit(self, edit: Edit) -> Changes:
        check(edit, self._state.rules, self._state.version)
        if edit.replace:
            return self._state.replace_all(edit.put)
        return self._state.change(edit.put, edit.delete)

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

    def counts(self, host: str) -> Counts:
        """The counters of one host; zeros for one that had no request. Does not park."""
        return self._statistics.counts(host)

    def totals(self) -> Counts:
        """The counters of all hosts together; they never go back. Parks."""
        return self._statistics.totals()

    def first_counts(self, count: int) -> tuple[dict[str, Counts], int]:
        """The counters of some hosts, always the same ones, and how many others there are."""
        return self._statistics.first(count)

    def last_activity(self, host: str) -> float | None:
        """When a request of `host` was last seen, in seconds since 1970; None for never.

        Late by at most two sweeps. Does not park.
        """
        return self.activity.last(host)

    def idle_since(self, host: str) -> float:
        """Since when nothing has asked for `host`, in seconds since 1970. Does not park.

        A rule that was set counts as activity, and so does the balancer's start: nobody knows what
        was before it.
        """
        if self._statistics.has_moved(host):
            # The next sweep will find it; nobody should be put to sleep before that.
            return time.time()
        return self.activity.idle_since(host)

    def sweep(self) -> None:
        """Note who was asked for since the last sweep. Parks."""
        self._statistics.sweep(lambda hosts: self.activity.moved(hosts, time.time()))

    def held(self) -> int:
        """How many requests are held now. Does not park."""
        return self._holding.held

    def held_by_host(self) -> dict[str, int]:
        """How many requests are held for each host that has some. Does not park."""
        return self._holding.held_by_host()

    def _change(self, write: Callable[..., Changes], *args: object) -> Changes:
        # In a green thread of its own: a caller that is cancelled half-way must not leave a rule
        # that is durable and not in force.
        by = acting_for.get()
        changing = spawn(self._write_and_take, by, write, args, name="rule change")
        return changing.wait()

    def _write_and_take(
        self, by: str, write: Callable[..., Changes], args: tuple[object, ...]
    ) -> Changes:
        with self._lock:
            try:
                changes: Changes = run_in_worker(write, *args)
            except StateUnwritable:
                # It has used a number up.
                self.feed.skip_to(self._state.version)
                raise
            if changes:
                # The table of requests still has the rules of before.
                before = rules_before(changes, self._table)
                self._take(changes)
                self._chronicle.record(self._state.version, changes, before, by)
            return changes

    def _take(self, changes: Changes) -> None:
        for host, rule in changes.put.items():
            self._table.set(host, rule)
        for host in changes.deleted:
            self._table.delete(host)
        self._statistics.retire(host.encode("ascii") for host in changes.deleted)
        self._fleets.rules_changed(changes.put, changes.deleted)
        self._holding.rules_changed([*changes.put, *changes.deleted])
