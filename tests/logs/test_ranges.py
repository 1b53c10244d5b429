"""Known batches are what a set of all identities would be."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from verdant.logs.ranges import KnownBatches

PIECES = st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 1), st.integers(0, 25)))


@given(PIECES)
def test_ranges_are_a_set(pieces: list[tuple[str, int, int]]) -> None:
    known = KnownBatches()
    for client, epoch, seq in pieces:
        known.add(client, epoch, seq)
    every = {(c, e, s) for c in "ab" for e in (0, 1) for s in range(27)}
    assert {identity for identity in every if identity in known} == set(pieces)
    ranges = list(known.ranges())
    assert {(c, e, s) for c, e, a, b in ranges for s in range(a, b + 1)} == set(pieces)
    # As few as there can be: none touches the next.
    for left, right in pairwise(ranges):
        assert left[:2] != right[:2] or left[3] + 1 < right[2]


@given(PIECES, PIECES)
def test_an_overlap_is_an_intersection(
    some: list[tuple[str, int, int]], others: list[tuple[str, int, int]]
) -> None:
    left, right = KnownBatches(), KnownBatches()
    for piece in some:
        left.add(*piece)
    for piece in others:
        right.add(*piece)
    found = left.overlap(right.ranges())
    assert {(c, e, s) for c, e, a, b in found for s in range(a, b + 1)} == set(some) & set(others)
