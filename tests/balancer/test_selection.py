from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from verdant.balancer.selection import (
    SmoothRoundRobin,
    choose_at_random,
    choose_by_key,
    choose_least_open,
    choose_of_two,
    hash_of,
)

if TYPE_CHECKING:
    import random


@dataclass(eq=False)
class Member:
    name: str
    open: int = 0

    @property
    def seed(self) -> int:
        return hash_of(self.name.encode())

    @seed.setter
    def seed(self, _: int) -> None:
        raise AssertionError("nobody changes it")


def members(count: int) -> list[Member]:
    return [Member(f"10.0.0.{number}:8000") for number in range(count)]


weights = st.lists(st.integers(0, 9), min_size=1, max_size=8).filter(any)
keys = st.integers(0, 2**64 - 1)


@given(weights)
def test_at_random_each_has_the_share_of_its_weight(given_weights: list[int]) -> None:
    crew = members(len(given_weights))
    total = sum(given_weights)
    # Every part of the range, met once in its middle.
    fractions = iter([(i + 0.5) / total for i in range(total)])
    picked = Counter(
        choose_at_random(crew, given_weights, fractions.__next__).name for _ in range(total)
    )
    expected = zip(crew, given_weights, strict=True)
    assert picked == {member.name: weight for member, weight in expected if weight}


@given(weights, st.floats(0, 1, exclude_max=True))
def test_who_has_no_weight_is_never_chosen(given_weights: list[int], fraction: float) -> None:
    crew = members(len(given_weights))
    weight_of = {m.name: w for m, w in zip(crew, given_weights, strict=True)}
    for chosen in (
        choose_at_random(crew, given_weights, lambda: fraction),
        choose_least_open(crew, given_weights, lambda: fraction),
        choose_of_two(crew, given_weights, lambda: fraction),
        choose_by_key(crew, given_weights, int(fraction * 2**64)),
        SmoothRoundRobin().choose(crew, given_weights),
    ):
        assert weight_of[chosen.name]


@given(weights)
def test_round_robin_is_exact_and_smooth(given_weights: list[int]) -> None:
    crew = members(len(given_weights))
    total = sum(given_weights)
    turns = SmoothRoundRobin()
    picked = [turns.choose(crew, given_weights).name for _ in range(3 * total)]
    for member, weight in zip(crew, given_weights, strict=True):
        assert picked.count(member.name) == 3 * weight
        for reached in range(1, total + 1):
            # It is never ahead of, or behind, its due by as many turns as there are backends.
            due = weight * reached / total
            assert abs(picked[:reached].count(member.name) - due) < len(crew)


def test_round_robin_does_not_bunch() -> None:
    crew = members(2)
    turns = SmoothRoundRobin()
    picked = [crew.index(turns.choose(crew, [5, 1])) for _ in range(6)]
    assert picked == [0, 0, 0, 1, 0, 0]


def test_round_robin_forgets_who_left() -> None:
    turns = SmoothRoundRobin()
    for crew in ([member] for member in members(100)):
        assert turns.choose(crew, [1]) is crew[0]
    assert len(turns._credit) < 10


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(1, 9)), min_size=1, max_size=8))
def test_least_connections_takes_the_least_loaded(loads: list[tuple[int, int]]) -> None:
    crew = [Member(f"b{i}", load) for i, (load, _) in enumerate(loads)]
    chosen = choose_least_open(crew, [weight for _, weight in loads])
    least = min((load + 1) / weight for load, weight in loads)
    assert any(
        crew[i] is chosen and (load + 1) / weight == least for i, (load, weight) in enumerate(loads)
    )


@given(st.lists(st.integers(0, 20), min_size=2, max_size=8), st.randoms(use_true_random=False))
def test_of_two_the_most_loaded_is_never_chosen(loads: list[int], dice: random.Random) -> None:
    crew = [Member(f"b{i}", load) for i, load in enumerate(loads)]
    chosen = choose_of_two(crew, [1] * len(crew), dice.random)
    assert chosen.open < max(loads) or loads.count(max(loads)) > 1


@given(weights, st.lists(keys, min_size=1, max_size=30), st.data())
def test_taking_a_backend_away_moves_its_keys_alone(
    given_weights: list[int], some_keys: list[int], data: st.DataObject
) -> None:
    crew = members(len(given_weights))
    leaving = data.draw(st.integers(0, len(crew) - 1))
    rest = crew[:leaving] + crew[leaving + 1 :]
    rest_weights = given_weights[:leaving] + given_weights[leaving + 1 :]
    if not any(rest_weights):
        return
    for key in some_keys:
        before = choose_by_key(crew, given_weights, key)
        after = choose_by_key(rest, rest_weights, key)
        assert after is before or before is crew[leaving]


@given(weights, st.integers(1, 9), st.lists(keys, min_size=1, max_size=30))
def test_adding_a_backend_moves_keys_to_it_alone(
    given_weights: list[int], weight: int, some_keys: list[int]
) -> None:
    crew = members(len(given_weights))
    added = Member("added")
    for key in some_keys:
        before = choose_by_key(crew, given_weights, key)
        after = choose_by_key([added, *crew], [weight, *given_weights], key)
        assert after in (before, added)


@given(weights, st.data(), st.lists(keys, min_size=1, max_size=30))
def test_more_weight_takes_keys_and_gives_none(
    given_weights: list[int], data: st.DataObject, some_keys: list[int]
) -> None:
    crew = members(len(given_weights))
    index = data.draw(st.integers(0, len(crew) - 1))
    heavier = [w + 3 * (i == index) for i, w in enumerate(given_weights)]
    for key in some_keys:
        before = choose_by_key(crew, given_weights, key)
        after = choose_by_key(crew, heavier, key)
        assert after in (before, crew[index])


def test_keys_are_spread_as_the_weights_say() -> None:
    crew = members(4)
    given_weights = [1, 1, 2, 4]
    count = 8000
    picked = Counter(
        crew.index(choose_by_key(crew, given_weights, hash_of(b"%d" % n))) for n in range(count)
    )
    for index, weight in enumerate(given_weights):
        # Four standard deviations of a fair draw are below a tenth here, but for the smallest.
        assert abs(picked[index] - count * weight / 8) < 130


def test_hashes_do_not_depend_on_the_process() -> None:
    assert hash_of(b"a") == 0x40F89E395B66422F
