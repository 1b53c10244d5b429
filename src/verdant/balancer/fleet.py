"""Fleet: a proxy rule made ready for its requests, with the backends it names.

Place     balancer; fleets.py makes one for a rule at its first request and keeps it for as long as
          the rule stands. What can be decided once is decided in the constructor.
Promise   who is chosen may be used: has a weight, is not put out, has room, was not tried before,
          as far as any such backend is left. No more than the rule's limits run at once; who
          waits for room is served in order, within `queue_s`, or told so.
Not here  one exchange (proxy.py), retries (actions/proxy.py).

A rule that changes gets another fleet, which takes over the backends that stay, their load, and
those who wait; `newest()` leads there. So an exchange that parked goes on under the rule in force.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from verdant.balancer.budget import RetryBudget
from verdant.balancer.ejection import shares_in_panic
from verdant.balancer.errors import Overloaded
from verdant.balancer.keys import cookie_reader, key_reader
from verdant.balancer.rewriting import Rewriting
from verdant.balancer.selection import (
    SmoothRoundRobin,
    choose_at_random,
    choose_by_key,
    choose_least_open,
    choose_of_two,
)
from verdant.balancer.share import part
from verdant.core import TimedOut, WaitQueue, monotonic

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from verdant.balancer.backend import Backend
    from verdant.balancer.config import BalancerConfig
    from verdant.balancer.exchange import Exchange
    from verdant.balancer.proxy_rule import Proxy, ProxyOptions
    from verdant.balancer.rules import Rule

__all__ = ["Fleet", "Load"]

# While somebody is out or returning, shares are reckoned anew this often: a ramp is tens of
# seconds, and nobody sees a smoother one.
SETTLE_S = 0.25


class Load:
    """What a host has under way, and who waits for room, whatever fleet they began with."""

    __slots__ = ("line", "open", "waiting")

    def __init__(self) -> None:
        self.open = 0
        self.waiting = 0
        self.line = WaitQueue()


class Fleet:
    """The backends of one rule. `backends`: in the rule's order, each address once."""

    def __init__(
        self,
        rule: Rule,
        action: Proxy,
        backends: Sequence[Backend],
        load: Load,
        config: BalancerConfig,
        share: float = 1.0,
    ) -> None:
        """`share`: the part of the rule's limits that this process has."""
        self.rule = rule
        self.action = action
        options = self.options = action.options
        self.backends = list(backends)
        self.load = load
        self.successor: Fleet | None = None
        self.connect_s = options.connect_timeout_s or config.backend_connect_timeout_s
        self.head_s = options.head_timeout_s or config.backend_response_timeout_s
        self.idle_s = options.idle_timeout_s or config.backend_idle_timeout_s
        self.total_s = options.total_timeout_s
        self.rewriting = Rewriting(options) if Rewriting.needed(options) else None
        self.budget = RetryBudget(options.retry_budget, monotonic())
        self.connections_max = part(options.connections_max, share)
        self.queue_max = part(options.queue_max, share)
        self.limited = bool(
            self.connections_max or any(backend.connections_max for backend in backends)
        )
        self._by_mark = {backend.mark: backend for backend in backends}
        self._read_mark = cookie_reader(options.sticky_cookie) if options.sticky_cookie else None
        self._turns = SmoothRoundRobin()
        self._pick = self._policy(options)
        self._settle_at = 0.0
        self.unsettled = False
        self.only: Backend | None = None
        self.members: list[Backend] = []
        self.weights: list[float] = []
        self.settle()

    def newest(self) -> Fleet:
        """The fleet that requests meet now: this one, or what took its place."""
        fleet = self
        while fleet.successor is not None:
            fleet = fleet.successor
        return fleet

    def settle(self) -> None:
        """Reckon anew who may be chosen, and with what weight. Does not park."""
        now = monotonic()
        options = self.options
        shares = [backend.share(now, options.ramp_s) for backend in self.backends]
        self.unsettled = any(share < 1.0 for share in shares)
        self._settle_at = now + SETTLE_S
        if self.unsettled and shares_in_panic(shares, options.panic_share):
            shares = [1.0] * len(shares)
        weighed = [
            (backend, backend.weight * share)
            for backend, share in zip(self.backends, shares, strict=True)
            if backend.weight and share
        ]
        if not weighed:
            # Those left take no new requests by their weight; better they than nobody.
            weighed = [(backend, float(backend.weight or 1)) for backend in self.backends]
        self.members = [backend for backend, _ in weighed]
        self.weights = [weight for _, weight in weighed]
        self._even = len(set(self.weights)) == 1
        # The one backend, where nothing else has to be asked: most rules name one.
        self.only = None
        if len(self.backends) == 1 and not self.limited and self._read_mark is None:
            self.only = self.backends[0]

    def choose(self, exchange: Exchange, tried: Sequence[Backend] = ()) -> Backend:
        """The backend for the exchange's next attempt. Does not park."""
        if self.unsettled and monotonic() >= self._settle_at:
            self.settle()
        if self._read_mark is not None:
            return self._choose_sticky(exchange, tried)
        if tried or self.limited:
            members, weights = self._left(tried)
            return self._pick(exchange, members, weights)
        members = self.members
        if len(members) == 1:
            return members[0]
        return self._pick(exchange, members, self.weights)

    def _choose_sticky(self, exchange: Exchange, tried: Sequence[Backend]) -> Backend:
        assert self._read_mark is not None
        mark = self._read_mark(exchange.request.head)
        bound = self._by_mark.get(mark) if mark is not None else None
        exchange.answer_lines = b""
        if bound is not None and self._may_serve(bound, tried):
            return bound
        members, weights = self._left(tried)
        backend = self._pick(exchange, members, weights)
        secure = b"; Secure" if exchange.protocol == b"https" else b""
        exchange.answer_lines = b"\r\nSet-Cookie: %b=%b; Path=/; HttpOnly; SameSite=Lax%b" % (
            self.options.sticky_cookie.encode("ascii"),
            backend.mark,
            secure,
        )
        return backend

    def _may_serve(self, backend: Backend, tried: Sequence[Backend]) -> bool:
        # A weight of 0 keeps the clients that it has, so the members alone do not tell.
        if backend in tried or (self.limited and not backend.has_room):
            return False
        return backend in self.members or (
            not backend.weight and backend.share(monotonic(), self.options.ramp_s) > 0
        )

    def _left(self, tried: Sequence[Backend]) -> tuple[list[Backend], list[float]]:
        """The members that were not tried and have room, or that have room at least."""
        pairs = list(zip(self.members, self.weights, strict=True))
        if self.limited:
            pairs = [pair for pair in pairs if pair[0].has_room] or pairs
        if tried:
            pairs = [pair for pair in pairs if pair[0] not in tried] or pairs
        return [backend for backend, _ in pairs], [weight for _, weight in pairs]

    def _policy(
        self, options: ProxyOptions
    ) -> Callable[[Exchange, Sequence[Backend], Sequence[float]], Backend]:
        if options.policy == "consistent_hash":
            read_key = key_reader(options.hash_on)
            return lambda exchange, members, weights: choose_by_key(
                members, weights, read_key(exchange)
            )
        if options.policy == "round_robin":
            return lambda _, members, weights: self._turns.choose(members, weights)
        if options.policy == "least_connections":
            return lambda _, members, weights: choose_least_open(members, weights)
        if options.policy == "power_of_two":
            return lambda _, members, weights: choose_of_two(members, weights)
        return self._pick_at_random

    def _pick_at_random(
        self, _: Exchange, members: Sequence[Backend], weights: Sequence[float]
    ) -> Backend:
        # Of members with even weights, any few have even weights too.
        if self._even:
            return members[int(random.random() * len(members))]
        return choose_at_random(members, weights)

    # Limits.

    def _has_room(self) -> bool:
        if self.unsettled and monotonic() >= self._settle_at:
            self.settle()
        most = self.connections_max
        if most and self.load.open >= most:
            return False
        return any(backend.has_room for backend in self.members)

    def admit(self, exchange: Exchange, tried: Sequence[Backend]) -> tuple[Fleet, Backend]:
        """Wait for room, then choose. Parks. Raises `Overloaded`.

        Returns the fleet that is in force by then, and the backend; the caller counts the exchange
        before it parks again.
        """
        load = self.load
        # Newcomers stand behind those who wait.
        if not load.waiting and self._has_room():
            return self, self.choose(exchange, tried)
        options = self.options
        if load.waiting >= self.queue_max:
            raise Overloaded(f"{load.waiting} requests wait already, as many as queue_max allows")
        deadline = monotonic() + options.queue_s
        load.waiting += 1
        try:
            while True:
                self.newest()._wait_in_line(deadline)  # noqa: SLF001 - of our own kind
                fleet = self.newest()
                if fleet._has_room():  # noqa: SLF001 - of our own kind
                    return fleet, fleet.choose(exchange, tried)
        except BaseException:
            # If a place was given to us, it is the next one's.
            load.line.wake_one()
            raise
        finally:
            load.waiting -= 1

    def _wait_in_line(self, deadline: float) -> None:
        left = deadline - monotonic()
        if left <= 0:
            raise Overloaded(f"there was no room within queue_s = {self.options.queue_s:g} s")
        try:
            # A backend that returns from an ejection brings room, and tells nobody.
            self.load.line.wait(min(left, SETTLE_S) if self.unsettled else left)
        except TimedOut as exc:
            if type(exc) is not TimedOut:
                raise

    def left(self, backend: Backend) -> None:
        """An exchange on `backend` is over and counted: tell those who wait. Does not park."""
        if self.load.waiting:
            self.load.line.wake_one()
        if backend.removed and not backend.open:
            backend.emptied.wake_all()
