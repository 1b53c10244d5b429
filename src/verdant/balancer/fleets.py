"""Fleets: every proxy rule that has had a request, made ready; and the checks of their backends.

Place     balancer; the worker's requests ask for their fleet, the rulebook reports changes.
Promise   an equal rule is no change: its fleet stays as it is. A changed rule's fleet takes over
          the backends that both name, connections, records and load included. Checks run for as
          long as their rule stands, whether or not requests come.
Not here  what a fleet does (fleet.py).

A rule costs nothing here until its first request, but for those with a `health_path`.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from verdant.balancer.backend import Backend
from verdant.balancer.fleet import Fleet, Load
from verdant.balancer.healthcheck import Check, watch_backend
from verdant.balancer.proxy_rule import Proxy
from verdant.balancer.share import part
from verdant.core import GreenThread, TimedOut, monotonic, spawn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from verdant.balancer.config import BalancerConfig
    from verdant.balancer.rules import Rule
    from verdant.http import ConnectionPool

__all__ = ["Fleets"]

# A fleet takes some three kilobytes. Of a million hosts no more than this many are busy at once.
FLEETS_MAX = 100_000
# How many are looked at for one to forget: a bound on the time that a new fleet takes.
FORGET_FROM = 32
# How many removed backends are remembered before those that have nothing under way are looked for.
LEAVING_MIN = 64


class Fleets:
    """The fleets of one worker, by the key of their rule. Use it from one native thread.

    `share`: the part of every rule's limits that this worker has.
    """

    def __init__(self, config: BalancerConfig, pool: ConnectionPool, share: float = 1.0) -> None:
        self._config = config
        self._pool = pool
        self._share = share
        self._fleets: dict[bytes, Fleet] = {}
        self._checks: dict[tuple[bytes, tuple[str, int]], tuple[Check, GreenThread[None]]] = {}
        # Removed ones that had something under way then, for `wait_until_left`.
        self._leaving: list[tuple[bytes, Backend]] = []
        self._leaving_max = LEAVING_MIN

    def __contains__(self, key: bytes) -> bool:
        return key in self._fleets

    def fleet_of(self, key: bytes, rule: Rule) -> Fleet:
        """The fleet of the rule that is kept under `key`. Does not park."""
        # Changes are reported at once, so what is here is never older than `rule`.
        return self._fleets.get(key) or self._make(key, rule)

    def start(self, rules: Iterable[tuple[str, Rule]]) -> None:
        """Begin the checks of those rules that want them. Does not park."""
        for host, rule in rules:
            if isinstance(rule.arguments, Proxy) and rule.arguments.options.health_path:
                self.fleet_of(host.encode("ascii"), rule)

    def stop(self) -> None:
        """End all checks. Does not park."""
        for _, checker in self._checks.values():
            checker.cancel()
        self._checks.clear()

    def rules_changed(self, put: Mapping[str, Rule], deleted: Iterable[str]) -> None:
        """These hosts have other rules now, or none. Does not park."""
        for host, rule in put.items():
            key = host.encode("ascii")
            if not isinstance(rule.arguments, Proxy):
                self._drop(key)
            elif key in self._fleets or rule.arguments.options.health_path:
                self._make(key, rule)
        for host in deleted:
            self._drop(host.encode("ascii"))

    def all_rules_changed(self, rule_of: Callable[[str], Rule | None]) -> None:
        """Any rule may be another now: `rule_of(host)` tells. Does not park."""
        put: dict[str, Rule] = {}
        deleted: list[str] = []
        for key, fleet in self._fleets.items():
            host = key.decode("ascii")
            rule = rule_of(host)
            if rule is None:
                deleted.append(host)
            elif rule != fleet.rule:
                put[host] = rule
        self.rules_changed(put, deleted)

    def describe(self, host: str, rule: Rule) -> list[dict[str, object]]:
        """The backends of a host's rule, as they are now. Raises ValueError for no proxy rule."""
        if not isinstance(rule.arguments, Proxy):
            raise ValueError(f"the action of {host} is {rule.action}, which has no backends")
        fleet = self.fleet_of(host.encode("ascii"), rule)
        fleet.settle()
        now = monotonic()
        return [backend.describe(now) for backend in fleet.backends]

    def wait_until_left(self, host: str, address: tuple[str, int], timeout_s: float) -> int:
        """Wait until nothing is under way on a backend that was removed from a host's rule.

        Parks for at most `timeout_s`. Returns how many exchanges still are.
        """
        key, deadline = host.encode("ascii"), monotonic() + timeout_s
        leaving = [b for at, b in self._leaving if at == key and b.address == address]
        return sum(self._wait_until_empty(backend, deadline) for backend in leaving)

    def _retire(self, key: bytes, backend: Backend) -> None:
        backend.retire()
        if not backend.open:
            return
        self._leaving.append((key, backend))
        if len(self._leaving) > self._leaving_max:
            self._leaving = [(at, left) for at, left in self._leaving if left.open]
            self._leaving_max = max(LEAVING_MIN, 2 * len(self._leaving))

    @staticmethod
    def _wait_until_empty(backend: Backend, deadline: float) -> int:
        while backend.open and (left := deadline - monotonic()) > 0:
            try:
                backend.emptied.wait(left)
            except TimedOut as exc:
                if type(exc) is not TimedOut:
                    raise
        return backend.open

    def _make(self, key: bytes, rule: Rule) -> Fleet:
        action = rule.arguments
        assert isinstance(action, Proxy)
        old = self._fleets.get(key)
        known = {backend.address: backend for backend in old.backends} if old else {}
        backends: dict[tuple[str, int], Backend] = {}
        for entry in action.backends:
            address = entry.address
            backend = backends.get(address)
            if backend is not None:
                # Named twice: twice the share.
                backend.weight += entry.weight
                continue
            backend = known.pop(address, None) or Backend(address, self._pool.at(address))
            backends[address] = backend
            backend.weight = entry.weight
            backend.connections_max = part(
                entry.connections_max or action.options.backend_connections_max, self._share
            )
            if not action.options.health_path:
                backend.sound = True
        fleet = Fleet(
            rule,
            action,
            list(backends.values()),
            old.load if old else Load(),
            self._config,
            self._share,
        )
        self._fleets[key] = fleet
        if len(self._fleets) > FLEETS_MAX:
            self._forget_one(key)
        self._renew_checks(key, fleet)
        for backend in known.values():
            self._end_check(key, backend)
            self._retire(key, backend)
        if old is not None:
            old.successor = fleet
            # There may be room now, or a queue no more.
            fleet.load.line.wake_all()
        return fleet

    def _forget_one(self, fresh: bytes) -> None:
        """Forget the oldest fleet that nobody would miss, if there is one among the first few.

        Not the one under `fresh`. A busy one that is forgotten between two requests is made again.
        """
        for key, fleet in islice(self._fleets.items(), FORGET_FROM):
            missed = fleet.load.open or fleet.load.waiting or fleet.unsettled
            if not missed and not fleet.options.health_path and key != fresh:
                self._drop(key)
                return

    def _drop(self, key: bytes) -> None:
        fleet = self._fleets.pop(key, None)
        if fleet is None:
            return
        for backend in fleet.backends:
            self._end_check(key, backend)
            self._retire(key, backend)

    def _renew_checks(self, key: bytes, fleet: Fleet) -> None:
        check = Check.of(key.decode("ascii").rpartition("://")[2], fleet.options)
        for backend in fleet.backends:
            running = self._checks.get((key, backend.address))
            if running is not None and running[0] == check:
                continue
            self._end_check(key, backend)
            if check is not None:
                checker = spawn(
                    watch_backend,
                    backend,
                    check,
                    lambda: self._settle(key),
                    name=f"health check of {backend.name}",
                )
                self._checks[key, backend.address] = (check, checker)

    def _end_check(self, key: bytes, backend: Backend) -> None:
        running = self._checks.pop((key, backend.address), None)
        if running is not None:
            running[1].cancel()

    def _settle(self, key: bytes) -> None:
        fleet = self._fleets.get(key)
        if fleet is not None:
            fleet.settle()
            fleet.load.line.wake_all()
