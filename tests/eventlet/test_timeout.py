from __future__ import annotations

import pytest

from verdant import eventlet
from verdant.eventlet import timeout as timeout_module
from verdant.eventlet.timeout import Timeout, is_timeout, with_timeout, wrap_is_timeout

SHORT = 0.01


def test_it_raises_itself() -> None:
    bound = Timeout(SHORT)
    with pytest.raises(Timeout) as raised:
        eventlet.sleep(10)
    assert raised.value is bound
    assert not bound.pending


def test_it_is_no_exception_for_except_exception() -> None:
    assert not issubclass(Timeout, Exception)

    def careless() -> str:
        try:
            eventlet.sleep(10)
        except Exception:  # noqa: BLE001 - what is tested
            return "swallowed"
        return "slept"

    with pytest.raises(Timeout), Timeout(SHORT):
        careless()


def test_it_runs_from_its_construction_and_can_be_cancelled() -> None:
    bound = Timeout(SHORT)
    states = [bound.pending]
    bound.cancel()
    states.append(bound.pending)
    assert states == [True, False]
    eventlet.sleep(SHORT * 2)
    bound.start()
    with pytest.raises(Timeout):
        eventlet.sleep(10)


def test_starting_twice_is_an_error() -> None:
    bound = Timeout(10)
    with pytest.raises(AssertionError):
        bound.start()
    bound.cancel()


def test_without_seconds_it_never_comes() -> None:
    with Timeout(None) as bound:
        assert not bound.pending
        eventlet.sleep(SHORT)
    assert str(bound) == ""


def test_silent() -> None:
    done = []
    with Timeout(SHORT, False):
        eventlet.sleep(10)
        done.append(1)
    assert done == []


def test_a_silent_one_does_not_hide_others() -> None:
    with pytest.raises(Timeout) as raised, Timeout(SHORT) as outer, Timeout(10, False):
        eventlet.sleep(10)
    assert raised.value is outer


def test_an_exception_of_ones_own() -> None:
    with pytest.raises(KeyError, match="mine"), Timeout(SHORT, KeyError("mine")):
        eventlet.sleep(10)
    with pytest.raises(IndexError), Timeout(SHORT, IndexError):
        eventlet.sleep(10)


def test_nested_ones_are_told_apart() -> None:
    with Timeout(10) as outer, pytest.raises(Timeout) as raised, Timeout(SHORT) as inner:
        eventlet.sleep(10)
    assert raised.value is inner
    assert raised.value is not outer


def test_it_can_be_entered_again() -> None:
    bound = Timeout(SHORT, False)
    bound.cancel()
    for _ in range(2):
        with bound:
            eventlet.sleep(10)


def test_with_timeout() -> None:
    assert with_timeout(10, lambda a, b=2: a + b, 1, b=5) == 6
    assert with_timeout(SHORT, eventlet.sleep, 10, timeout_value="late") == "late"
    with pytest.raises(Timeout):
        with_timeout(SHORT, eventlet.sleep, 10)
    with pytest.raises(Timeout), Timeout(SHORT):
        # Not its own: passed on.
        with_timeout(10, eventlet.sleep, 10, timeout_value="late")
    assert eventlet.with_timeout(10, lambda: 1) == 1


def test_text() -> None:
    bound = Timeout(1)
    bound.cancel()
    assert str(bound) == "1 second"
    silent = Timeout(2, False)
    assert "pending" in repr(silent)
    silent.cancel()
    assert str(silent) == "2 seconds (silent)"
    named = Timeout(3, KeyError("k"))
    named.cancel()
    assert str(named) == "3 seconds ('k')"
    assert "exception=KeyError('k')" in repr(named)


def test_is_timeout() -> None:
    assert is_timeout(Timeout())
    assert is_timeout(TimeoutError())
    assert not is_timeout(OSError())

    class Marked(Exception):
        pass

    assert not is_timeout(Marked())
    assert is_timeout(wrap_is_timeout(Marked)())
    assert is_timeout(wrap_is_timeout(lambda: type("Thing", (), {})())())
    assert timeout_module.Timeout is eventlet.Timeout


def test_it_does_not_come_after_its_block() -> None:
    for _ in range(3):
        with Timeout(0, False):
            # Busy: it fires in the hub's next turn, when the block is over.
            pass
        eventlet.sleep(0)
    evt = eventlet.Event()
    reached = []

    def waiter() -> None:
        bound = Timeout(SHORT)
        evt.wait()
        bound.cancel()
        eventlet.sleep(SHORT * 2)
        reached.append(1)

    thread = eventlet.spawn(waiter)
    eventlet.sleep(0)
    evt.send()
    thread.wait()
    assert reached == [1]
