from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from verdant.balancer.budget import RETRIES_PER_S, SAVED_RETRIES_MAX, RetryBudget
from verdant.balancer.ejection import EJECT_S_MAX, Standing, shares_in_panic
from verdant.balancer.healthcheck import Tally


def fail(standing: Standing, now: float, times: int = 1) -> bool:
    return [standing.failed(now, 3, 10.0) for _ in range(times)][-1]


def test_failures_in_a_row_put_out_and_others_do_not() -> None:
    standing = Standing()
    assert not fail(standing, 100.0, 2)
    standing.streak = 0  # it answered
    assert not fail(standing, 100.0, 2)
    assert standing.share(100.0, 10.0) == 1.0
    assert fail(standing, 100.0)
    assert standing.share(100.0, 10.0) == 0.0
    assert standing.state(100.0) == "ejected"


def test_it_returns_slowly_and_forgets() -> None:
    standing = Standing()
    fail(standing, 100.0, 3)
    assert standing.share(109.9, 20.0) == 0.0
    shares = [standing.share(110.0 + second, 20.0) for second in range(21)]
    assert shares == sorted(shares)
    assert shares[0] == 0.1
    assert shares[10] == 0.5
    assert shares[-1] == 1.0
    assert standing.state(131.0) == "in"
    assert standing.ejections == 0


def test_a_failure_on_the_way_back_puts_it_out_for_longer() -> None:
    standing = Standing()
    now = 100.0
    fail(standing, now, 3)
    lengths = [standing.back_at - now]
    for _ in range(8):
        now = standing.back_at + 1.0
        assert standing.state(now) == "returning"
        assert fail(standing, now)
        lengths.append(standing.back_at - now)
    assert lengths == [min(10.0 * 2**n, EJECT_S_MAX) for n in range(9)]


def test_failures_that_come_in_while_it_is_out_count_no_more() -> None:
    standing = Standing()
    fail(standing, 100.0, 3)
    back_at = standing.back_at
    # Of exchanges that had begun before.
    assert not fail(standing, 101.0, 50)
    assert standing.back_at == back_at


def test_what_checks_found_sound_again_returns_slowly() -> None:
    standing = Standing()
    standing.sound = False
    assert standing.state(100.0) == "unsound"
    assert standing.share(100.0, 10.0) == 0.0
    standing.recovered(100.0)
    assert standing.share(105.0, 10.0) == 0.5
    assert standing.share(110.0, 10.0) == 1.0


def test_no_ejection_without_a_count() -> None:
    standing = Standing()
    assert not any(standing.failed(1.0, 0, 10.0) for _ in range(1000))
    assert standing.share(1.0, 10.0) == 1.0


@given(st.lists(st.sampled_from([0.0, 0.1, 0.5, 1.0]), min_size=1), st.floats(0, 1))
def test_panic_when_too_few_are_left_and_always_when_none_is(
    shares: list[float], panic_share: float
) -> None:
    left = sum(share > 0 for share in shares)
    panic = shares_in_panic(shares, panic_share)
    assert panic == (left == 0 or left / len(shares) < panic_share - 1e-12 or (
        left < panic_share * len(shares)
    ))  # fmt: skip
    if left == len(shares):
        assert not panic


@given(st.lists(st.tuples(st.floats(0, 10), st.integers(0, 50)), max_size=50), st.floats(0, 1))
def test_retries_stay_within_the_budget(steps: list[tuple[float, int]], share: float) -> None:
    now = 0.0
    budget = RetryBudget(share, now)
    requests = retries = 0
    for wait, count in steps:
        now += wait
        requests += count
        budget.requests += count
        while budget.take(now):
            retries += 1
        allowed = RETRIES_PER_S + requests * share + now * RETRIES_PER_S
        assert retries <= allowed + 1e-6


def test_calm_saves_a_bounded_number_of_retries() -> None:
    budget = RetryBudget(0.2, 0.0)
    taken = 0
    while budget.take(1e6):
        taken += 1
    assert taken == SAVED_RETRIES_MAX


@given(st.integers(1, 5), st.integers(1, 5), st.lists(st.booleans(), max_size=60))
def test_the_verdict_changes_after_as_many_in_a_row(
    rise: int, fall: int, answers: list[bool]
) -> None:
    tally = Tally(rise, fall)
    heard: list[bool] = []
    for answer in answers:
        before = tally.sound
        heard.append(answer)
        changed = tally.note(answer)
        assert changed == (tally.sound != before)
        if changed:
            assert heard[-(rise if answer else fall) :] == [answer] * (rise if answer else fall)
            heard.clear()
