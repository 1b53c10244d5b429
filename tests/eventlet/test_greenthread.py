from __future__ import annotations

import contextvars
from typing import Any

import pytest
from greenlet import GreenletExit, getcurrent

from verdant import eventlet
from verdant.eventlet import greenthread


def test_spawn_passes_arguments_and_gives_the_result() -> None:
    def f(a: int, b: int = 0, *, c: int = 0) -> tuple[int, int, int]:
        return a, b, c

    assert eventlet.spawn(f, 1, 2, c=3).wait() == (1, 2, 3)
    assert eventlet.spawn(f, 1, b=4).wait() == (1, 4, 0)


def test_spawn_runs_later_and_in_order() -> None:
    order: list[int] = []
    for number in range(3):
        eventlet.spawn_n(order.append, number)
    assert order == []
    eventlet.sleep(0)
    assert order == [0, 1, 2]


def test_wait_raises_what_the_function_raised() -> None:
    def fail() -> None:
        raise RuntimeError("broken")

    thread = eventlet.spawn(fail)
    with pytest.raises(RuntimeError, match="broken"):
        thread.wait()
    with pytest.raises(RuntimeError, match="broken"):
        thread.wait()
    assert thread.dead


def test_spawn_after() -> None:
    order: list[str] = []
    late = eventlet.spawn_after(0.02, order.append, "late")
    early = eventlet.spawn_after(0, order.append, "early")
    early.wait()
    assert order == ["early"]
    late.wait()
    assert order == ["early", "late"]


def test_spawn_after_can_be_cancelled_before_it_begins() -> None:
    ran: list[int] = []
    thread = eventlet.spawn_after(0.01, ran.append, 1)
    thread.cancel()
    with pytest.raises(GreenletExit):
        thread.wait()
    eventlet.sleep(0.02)
    assert ran == []


def test_cancel_leaves_a_thread_alone_that_has_begun() -> None:
    evt = eventlet.Event()
    thread = eventlet.spawn(evt.wait)
    eventlet.sleep(0)
    thread.cancel()
    evt.send("went on")
    assert thread.wait() == "went on"


def test_spawn_after_local_ends_with_its_caller() -> None:
    ran: list[int] = []

    def caller() -> None:
        greenthread.spawn_after_local(0, ran.append, 1)

    eventlet.spawn(caller).wait()
    eventlet.sleep(0.01)
    assert ran == []
    greenthread.spawn_after_local(0, ran.append, 2)
    eventlet.sleep(0.01)
    assert ran == [2]


def test_kill_raises_in_the_thread_and_waits_a_turn() -> None:
    seen: list[str] = []

    def sleeper() -> None:
        try:
            eventlet.sleep(10)
        except GreenletExit:
            seen.append("exit")
            raise
        finally:
            seen.append("finally")

    thread = eventlet.spawn(sleeper)
    eventlet.sleep(0)
    thread.kill()
    assert seen == ["exit", "finally"]
    assert thread.dead
    with pytest.raises(GreenletExit):
        thread.wait()


def test_kill_before_it_began() -> None:
    ran: list[int] = []
    thread = eventlet.spawn(ran.append, 1)
    eventlet.kill(thread)
    assert ran == []
    assert thread.dead
    with pytest.raises(GreenletExit):
        thread.wait()
    # Once more does nothing.
    eventlet.kill(thread)


def test_kill_with_an_exception_of_ones_own() -> None:
    evt = eventlet.Event()
    thread = eventlet.spawn(evt.wait)
    eventlet.sleep(0)
    thread.kill(KeyError("because"))
    with pytest.raises(KeyError, match="because"):
        thread.wait()
    other = eventlet.spawn(evt.wait)
    eventlet.sleep(0)
    try:
        raise ValueError("info")
    except ValueError as exc:
        other.kill(ValueError, exc, exc.__traceback__)
    with pytest.raises(ValueError, match="info"):
        other.wait()


def test_a_killed_thread_may_go_on() -> None:
    evt = eventlet.Event()

    def stubborn() -> Any:
        try:
            eventlet.sleep(10)
        except GreenletExit:
            return evt.wait()

    thread = eventlet.spawn(stubborn)
    eventlet.sleep(0)
    thread.kill()
    assert not thread.dead
    evt.send("still here")
    assert thread.wait() == "still here"


def test_a_thread_may_kill_itself() -> None:
    def suicide() -> None:
        eventlet.kill(getcurrent())
        raise AssertionError("not reached")

    with pytest.raises(GreenletExit):
        eventlet.spawn(suicide).wait()


def test_links_get_the_thread_and_what_was_given() -> None:
    seen: list[Any] = []

    def done(thread: Any, *args: Any, **kwargs: Any) -> None:
        seen.append((thread.wait(), args, kwargs))

    thread = eventlet.spawn(lambda: "result")
    thread.link(done, 1, two=2)
    thread.link(done, 3)
    thread.wait()
    eventlet.sleep(0)
    assert seen == [("result", (1,), {"two": 2}), ("result", (3,), {})]
    # At once, when it has ended.
    thread.link(done)
    assert seen[2:] == [("result", (), {})]


def test_links_of_a_failure_and_of_a_kill() -> None:
    seen: list[str] = []

    def done(thread: Any) -> None:
        try:
            thread.wait()
        except BaseException as exc:  # noqa: BLE001 - what is tested
            seen.append(type(exc).__name__)

    def fail() -> None:
        raise OSError("x")

    failing = eventlet.spawn(fail)
    failing.link(done)
    killed = eventlet.spawn(eventlet.sleep, 10)
    killed.link(done)
    with pytest.raises(OSError, match="x"):
        failing.wait()
    killed.kill()
    unborn = eventlet.spawn_after(10, fail)
    unborn.link(done)
    unborn.kill()
    assert seen == ["OSError", "GreenletExit", "GreenletExit"]


def test_unlink() -> None:
    seen: list[Any] = []

    def done(thread: Any, tag: str) -> None:
        seen.append(tag)

    thread = eventlet.spawn(lambda: 1)
    thread.link(done, "a")
    thread.link(done, "b")
    assert thread.unlink(done, "a") is True
    assert thread.unlink(done, "a") is False
    thread.wait()
    eventlet.sleep(0)
    assert seen == ["b"]


def test_sleep_takes_what_is_not_positive_as_a_turn() -> None:
    order: list[str] = []
    eventlet.spawn_n(order.append, "other")
    eventlet.sleep()
    order.append("me")
    assert order == ["other", "me"]
    eventlet.sleep(-1)


def test_getcurrent() -> None:
    main = eventlet.getcurrent()
    thread: Any = eventlet.spawn(eventlet.getcurrent)
    assert thread.wait() is thread
    assert eventlet.getcurrent() is main
    assert eventlet.getcurrent is not None


@pytest.mark.differs("green threads inherit context variables")
def test_context_variables_are_inherited() -> None:
    var: contextvars.ContextVar[str] = contextvars.ContextVar("var", default="none")
    var.set("parent's")
    assert eventlet.spawn(var.get).wait() == "parent's"


@pytest.mark.differs("a failure that somebody hears of is not printed as well")
def test_a_failure_with_a_waiter_or_a_link_is_not_printed(capfd: Any) -> None:
    def fail() -> None:
        raise RuntimeError("told")

    with pytest.raises(RuntimeError):
        eventlet.spawn(fail).wait()
    eventlet.spawn(fail).link(lambda thread: None)
    eventlet.sleep(0)
    assert capfd.readouterr().err == ""


def test_a_failure_of_which_nobody_hears_is_printed(capfd: Any) -> None:
    def fail() -> None:
        raise RuntimeError("untold")

    eventlet.spawn_n(fail)
    eventlet.sleep(0)
    assert "RuntimeError: untold" in capfd.readouterr().err
