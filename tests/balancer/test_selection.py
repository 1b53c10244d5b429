from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from verdant.balancer.selection import choose_backend

A, B, C = ("a", 1), ("b", 1), ("c", 1)


def test_each_backend_has_its_share() -> None:
    fractions = iter([i / 300 for i in range(300)])
    picked = Counter(choose_backend((A, B, C), fraction=fractions.__next__) for _ in range(300))
    assert picked == {A: 100, B: 100, C: 100}


def test_one_backend_needs_no_choice() -> None:
    assert choose_backend((A,), failed=[A]) == A


@given(
    st.lists(st.sampled_from([A, B, C]), min_size=1),
    st.sets(st.sampled_from([A, B, C])),
    st.floats(0, 1, exclude_max=True),
)
def test_a_failed_backend_waits_until_all_have_failed(
    backends: list[tuple[str, int]], failed: set[tuple[str, int]], fraction: float
) -> None:
    chosen = choose_backend(backends, failed, fraction=lambda: fraction)
    assert chosen in backends
    assert chosen not in failed or set(backends) <= failed
