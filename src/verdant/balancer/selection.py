"""Selection: which backend gets a request.

Place     balancer, pure; fleet.py asks before each attempt and keeps what is remembered.
Promise   every policy gives a backend its share: as its weight is to the weights of all. A weight
          of 0 gives none. `consistent_hash` gives one key to one backend for as long as it is
          there; taking a backend away moves its keys alone, adding one moves keys to it alone.
Not here  which backends may be chosen at all (ejection.py, fleet.py); retries (actions/proxy.py).

    random             no state that workers would have to share, so it is the default
    round_robin        smooth: a:5 b:1 gives a a a b a a, not a a a a a b
    least_connections  the fewest open exchanges for its weight; ties at random
    power_of_two       the less loaded of two at random: nearly as even, and no herd runs to a
                       backend that was just added (Mitzenmacher 2001)
    consistent_hash    rendezvous hashing (Thaler and Ravishankar 1998), weighted by the logarithmic
                       method: the highest score wins. A ring would cost fewer steps with hundreds
                       of backends, and memory for its points with each rule; rules have a few.

A backend that is named twice in a rule gets twice the share.
"""

from __future__ import annotations

import random
from bisect import bisect_right
from hashlib import blake2b
from itertools import accumulate
from math import log
from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = [
    "Choosable",
    "SmoothRoundRobin",
    "choose_at_random",
    "choose_by_key",
    "choose_least_open",
    "choose_of_two",
    "hash_of",
]

_64_BITS = (1 << 64) - 1


class Choosable(Protocol):
    """What policies look at. `open`: exchanges under way; `seed`: 64 bits of its own."""

    open: int
    seed: int


B = TypeVar("B", bound=Choosable)


def hash_of(data: bytes) -> int:
    """64 bits that depend on every bit of `data`, the same in every process."""
    return int.from_bytes(blake2b(data, digest_size=8).digest(), "big")


def choose_at_random(
    members: Sequence[B], weights: Sequence[float], fraction: Callable[[], float] = random.random
) -> B:
    """One of `members`, as likely as its weight says. At least one weight is above 0."""
    reached = list(accumulate(weights))
    return members[bisect_right(reached, fraction() * reached[-1], 0, len(members) - 1)]


def choose_least_open(
    members: Sequence[B], weights: Sequence[float], fraction: Callable[[], float] = random.random
) -> B:
    """The one with the fewest open exchanges for its weight, were it given one more."""
    best: list[B] = []
    least = float("inf")
    for member, weight in zip(members, weights, strict=True):
        if weight <= 0:
            continue
        load = (member.open + 1) / weight
        if load < least:
            least = load
            best = [member]
        elif load == least:
            best.append(member)
    return best[int(fraction() * len(best))]


def choose_of_two(
    members: Sequence[B], weights: Sequence[float], fraction: Callable[[], float] = random.random
) -> B:
    """Of two at random, by weight, the one with fewer open exchanges."""
    first = choose_at_random(members, weights, fraction)
    others = [
        (member, weight)
        for member, weight in zip(members, weights, strict=True)
        if member is not first and weight > 0
    ]
    if not others:
        return first
    second = choose_at_random([m for m, _ in others], [w for _, w in others], fraction)
    # Weight has had its say in the draw.
    return second if second.open < first.open else first


def choose_by_key(members: Sequence[B], weights: Sequence[float], key: int) -> B:
    """The one whose score for the key (64 bits, from `hash_of`) is the highest."""
    best = members[0]
    highest = -1.0
    for member, weight in zip(members, weights, strict=True):
        if weight <= 0:
            continue
        # -ln(u)/w is exponential with rate w, and the least of such is w's with chance w/sum.
        score = weight / -log((_mixed(key ^ member.seed) + 1) / (_64_BITS + 2))
        if score > highest:
            highest = score
            best = member
    return best


def _mixed(bits: int) -> int:
    """Bits so stirred that each depends on all (the finaliser of SplitMix64, Steele 2014)."""
    bits = ((bits ^ (bits >> 30)) * 0xBF58476D1CE4E5B9) & _64_BITS
    bits = ((bits ^ (bits >> 27)) * 0x94D049BB133111EB) & _64_BITS
    return bits ^ (bits >> 31)


class SmoothRoundRobin:
    """Turns by weight, spread out evenly. Remembers each member's credit, by its seed.

    Each choice credits every member with its weight; the richest is chosen and pays for all.
    """

    __slots__ = ("_credit",)

    def __init__(self) -> None:
        self._credit: dict[int, float] = {}

    def choose(self, members: Sequence[B], weights: Sequence[float]) -> B:
        """The next one. `members` may differ from call to call; who is away gains nothing."""
        credit = self._credit
        best = members[0]
        most = float("-inf")
        total = 0.0
        for member, weight in zip(members, weights, strict=True):
            if weight <= 0:
                continue
            total += weight
            has = credit[member.seed] = credit.get(member.seed, 0.0) + weight
            if has > most:
                most = has
                best = member
        credit[best.seed] -= total
        if len(credit) > 2 * len(members):
            # Of backends that left the rule.
            known = {member.seed for member in members}
            self._credit = {seed: has for seed, has in credit.items() if seed in known}
        return best
