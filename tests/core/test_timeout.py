"""Timeouts: whose bound was met, what is raised, and nothing after the block."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verdant import Event, TimedOut, Timeout, sleep, spawn, with_timeout
from verdant.core import is_interrupt
from verdant.errors import Busy


def wait() -> None:
    Event().wait()


def test_the_outer_bound_passes_through_the_inner_one() -> None:
    outer, inner = Timeout(0.001), Timeout(30)
    with pytest.raises(Timeout) as caught, outer, inner:
        wait()
    assert caught.value is outer
    assert outer.expired
    assert not inner.expired


def test_the_inner_bound_leaves_the_outer_one_counting() -> None:
    def both() -> None:
        with Timeout(0.02) as outer:
            scopes.append(outer)
            with pytest.raises(Timeout) as caught, Timeout(0.001) as inner:
                wait()
            assert caught.value is inner
            wait()

    scopes: list[Timeout] = []
    with pytest.raises(Timeout) as caught:
        both()
    assert caught.value is scopes[0]


def test_two_bounds_met_in_the_same_turn_each_raise_their_own() -> None:
    outer, inner = Timeout(0), Timeout(0)
    with pytest.raises(Timeout) as caught, outer, inner:
        wait()
    # The outer one was set first, so it is met first; the inner one is taken back.
    assert caught.value is outer
    assert not inner.expired


def test_a_silent_inner_bound_does_not_swallow_an_outer_one() -> None:
    with pytest.raises(Timeout) as caught, Timeout(0.001) as outer, Timeout(30, False):
        wait()
    assert caught.value is outer


def test_a_silent_bound_is_met_even_if_somebody_inside_swallowed_it() -> None:
    with Timeout(0.001, False) as bound:
        with contextlib.suppress(BaseException):
            wait()
        after = "went on"
    assert after == "went on"
    assert bound.expired


def test_a_class_is_made_anew_each_time_and_an_instance_is_the_same() -> None:
    class Mine(Exception):
        """Made without arguments."""

    bound = Timeout(0.001, Mine)
    raised = []
    for _ in range(2):
        with pytest.raises(Mine) as caught, bound:
            wait()
        raised.append(caught.value)
    assert raised[0] is not raised[1]
    own = ConnectionError("mine")
    depths = set()
    for _ in range(3):
        with pytest.raises(ConnectionError) as again, Timeout(0.001, own):
            wait()
        assert again.value is own
        depths.add(len(again.traceback))
    assert len(depths) == 1, "a traceback that grows"


def test_a_class_that_cannot_be_made_tells_so_in_the_block() -> None:
    class Needy(Exception):
        def __init__(self, text: str) -> None:
            super().__init__(text)

    with pytest.raises(TypeError, match="text"), Timeout(0.001, Needy):
        wait()


def test_a_bound_can_be_lifted_and_entered_again_but_not_twice_at_once() -> None:
    bound = Timeout(0.001)
    with bound:
        entered = bound.pending
        with pytest.raises(Busy), bound:
            pass
        bound.cancel()
        assert (entered, bound.pending) == (True, False)
        sleep(0.005)
    with pytest.raises(Timeout), bound:
        wait()
    with Timeout(None) as none:
        assert not none.pending


def test_interrupts_are_told_from_errors() -> None:
    def raised_by(bound: Timeout) -> BaseException:
        with pytest.raises((Timeout, ValueError)) as caught, bound:
            wait()
        return caught.value

    assert is_interrupt(raised_by(Timeout(0.001)))
    assert is_interrupt(raised_by(Timeout(0.001, ValueError)))
    assert is_interrupt(raised_by(Timeout(0.001, ValueError("mine"))))
    assert is_interrupt(KeyboardInterrupt())
    assert not is_interrupt(ValueError())
    assert not is_interrupt(TimedOut("a wait's own"))


def test_with_timeout_tells_its_own_bound_from_others() -> None:
    assert with_timeout(30, lambda a, b: a + b, 1, b=2) == 3
    assert with_timeout(0.001, wait, timeout_value=None) is None
    assert with_timeout(None, lambda: "no bound") == "no bound"
    with pytest.raises(Timeout):
        with_timeout(0.001, wait)

    def own_bound() -> None:
        with Timeout(0.001):
            wait()

    with pytest.raises(Timeout):
        with_timeout(30, own_bound, timeout_value="not this")
    with pytest.raises(Timeout) as caught, Timeout(0.001) as outer:
        with_timeout(30, wait, timeout_value="not this")
    assert caught.value is outer


@given(st.lists(st.sampled_from([0.0, 0.0005, 0.001, 10.0]), min_size=1, max_size=5))
def test_however_deep_the_first_bound_to_be_met_is_raised(bounds: list[float]) -> None:
    scopes: list[Timeout] = []
    raised: list[Timeout] = []

    def enter(rest: list[float]) -> None:
        if not rest:
            Event().wait(0.002)
            return
        with Timeout(rest[0]) as scope:
            scopes.append(scope)
            enter(rest[1:])

    try:
        enter(bounds)
    except Timeout as exc:
        raised.append(exc)
    assert [scope for scope in scopes if scope.expired] == raised
    # Nothing is left over for the next wait.
    sleep(0.001)
    assert spawn(lambda: 1).wait() == 1
