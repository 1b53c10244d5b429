from __future__ import annotations

import sys
from typing import Any

import pytest

from verdant import eventlet
from verdant.eventlet.event import Event


def test_a_value_reaches_everybody_who_waits() -> None:
    evt = Event()
    got: list[Any] = []
    for _ in range(3):
        eventlet.spawn(lambda: got.append(evt.wait()))
    eventlet.sleep(0)
    assert not evt.ready()
    evt.send("a")
    assert got == []
    eventlet.sleep(0)
    assert got == ["a"] * 3
    assert evt.ready()
    assert evt.wait() == "a"


def test_the_documented_example() -> None:
    evt = Event()

    def baz(b: int) -> None:
        evt.send(b + 1)

    eventlet.spawn_n(baz, 3)
    assert evt.wait() == 4


def test_it_is_sent_once() -> None:
    evt = Event()
    evt.send(1)
    with pytest.raises(AssertionError):
        evt.send(2)
    evt.reset()
    assert not evt.ready()
    with pytest.raises(AssertionError):
        evt.reset()
    evt.send(3)
    assert evt.wait() == 3


def test_who_waits_gets_what_was_sent_before_a_reset() -> None:
    evt = Event()
    got: list[Any] = []
    eventlet.spawn(lambda: got.append(evt.wait()))
    eventlet.sleep(0)
    evt.send("first")
    evt.reset()
    eventlet.sleep(0)
    assert got == ["first"]
    assert not evt.ready()


def test_an_exception_is_raised_in_those_who_wait() -> None:
    evt = Event()
    thread = eventlet.spawn(evt.wait)
    eventlet.sleep(0)
    evt.send_exception(RuntimeError("broken"))
    with pytest.raises(RuntimeError, match="broken"):
        thread.wait()
    with pytest.raises(RuntimeError, match="broken"):
        evt.wait()
    assert evt.has_exception()
    assert not evt.has_result()


def test_an_exception_may_come_as_exc_info_or_as_a_class() -> None:
    evt = Event()
    try:
        raise KeyError("key")
    except KeyError:
        evt.send_exception(*sys.exc_info())
    with pytest.raises(KeyError):
        evt.wait()
    other = Event()
    other.send_exception(ValueError)
    with pytest.raises(ValueError, match=r"^$"):
        other.wait()
    third = Event()
    third.send(exc=ZeroDivisionError())
    with pytest.raises(ZeroDivisionError):
        third.wait()


def test_polling() -> None:
    evt = Event()
    assert evt.poll() is None
    assert evt.poll("no") == "no"
    assert evt.poll_result("no") == "no"
    assert evt.poll_exception("no") == "no"
    evt.send(0)
    assert evt.poll("no") == 0
    assert evt.poll_result("no") == 0
    assert evt.poll_exception("no") == "no"
    failed = Event()
    failed.send_exception(OSError())
    with pytest.raises(OSError, match=r"^$"):
        failed.poll()
    with pytest.raises(OSError, match=r"^$"):
        failed.poll_exception()
    assert failed.poll_result("no") == "no"


def test_a_wait_may_have_a_bound() -> None:
    evt = Event()
    assert evt.wait(timeout=0.01) is None
    evt.send(5)
    assert evt.wait(timeout=0.01) == 5


def test_a_waiter_that_was_killed_is_not_woken() -> None:
    evt = Event()
    thread = eventlet.spawn(evt.wait)
    other = eventlet.spawn(evt.wait)
    eventlet.sleep(0)
    thread.kill()
    evt.send("x")
    assert other.wait() == "x"


def test_its_text_tells_its_state() -> None:
    evt = Event()
    assert "NOT_USED" in str(evt)
    evt.send("value")
    assert "'value'" in str(evt)
    assert "_waiters[0]" in str(evt)
