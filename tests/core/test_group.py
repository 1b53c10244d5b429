"""Task groups: children end before the block does, and nothing that failed is lost."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verdant import (
    Event,
    GreenThread,
    Semaphore,
    TaskGroup,
    Timeout,
    WasCancelled,
    on_unhandled,
    sleep,
    spawn,
)
from verdant.errors import Busy, Cancelled, Closed


def fail(exc: BaseException) -> None:
    raise exc


def test_the_block_waits_for_its_threads_and_theirs() -> None:
    done: list[str] = []

    def child() -> str:
        group.spawn(grandchild)
        sleep(0)
        done.append("child")
        return "result"

    def grandchild() -> None:
        for _ in range(5):
            sleep(0)
        done.append("grandchild")

    with TaskGroup() as group:
        thread = group.spawn(child, name="a child")
        assert len(group) == 1
    assert done == ["child", "grandchild"]
    assert thread.wait() == "result"
    assert thread.name == "a child"
    assert len(group) == 0
    with pytest.raises(Closed):
        group.spawn(child)


def test_the_first_error_cancels_the_others_and_the_block() -> None:
    ended: list[str] = []

    def sibling() -> None:
        try:
            Event().wait()
        finally:
            ended.append("sibling")

    waiting: list[GreenThread[None]] = []

    def block() -> None:
        with TaskGroup("mine") as group:
            waiting.append(group.spawn(sibling))
            group.spawn(fail, ValueError("first"))
            try:
                Event().wait()
            finally:
                ended.append("block")

    with pytest.raises(ExceptionGroup) as caught:
        block()
    assert [str(exc) for exc in caught.value.exceptions] == ["first"]
    assert "mine" in str(caught.value)
    assert sorted(ended) == ["block", "sibling"]
    with pytest.raises(WasCancelled):
        waiting[0].wait()


def test_errors_of_threads_and_block_come_together() -> None:
    def fail_when_cancelled() -> None:
        try:
            Event().wait()
        except Cancelled:
            raise KeyError("second") from None

    with pytest.raises(ExceptionGroup) as caught, TaskGroup() as group:  # noqa: PT012 - the block
        group.spawn(fail_when_cancelled)
        sleep(0)
        raise ValueError("first")
    assert [type(exc) for exc in caught.value.exceptions] == [ValueError, KeyError]


def test_an_error_that_the_block_waited_for_is_there_once() -> None:
    with pytest.raises(ExceptionGroup) as caught, TaskGroup() as group:
        group.spawn(fail, ValueError("once")).wait()
    assert len(caught.value.exceptions) == 1


def test_a_block_that_never_waits_hears_of_an_error_at_its_end_only() -> None:
    with pytest.raises(ExceptionGroup), TaskGroup() as group:
        group.spawn(fail, ValueError())
    # And nothing is left over for the next wait.
    sleep(0)


def test_a_cancelled_parent_cancels_its_children() -> None:
    ended: list[str] = []

    def child() -> None:
        try:
            Event().wait()
        finally:
            sleep(0.002)
            ended.append("child")

    def parent(in_block: bool) -> None:
        try:
            with TaskGroup() as group:
                group.spawn(child)
                if in_block:
                    Event().wait()
        finally:
            ended.append("parent")

    for in_block in (True, False):
        ended.clear()
        thread = spawn(parent, in_block)
        sleep(0.001)
        thread.cancel()
        thread.join()
        assert isinstance(thread.exception, Cancelled)
        assert ended == ["child", "parent"]


def test_a_parent_cancelled_over_and_over_waits_and_lets_its_children_clean_up() -> None:
    ended: list[str] = []

    def child() -> None:
        try:
            Event().wait()
        finally:
            for _ in range(5):
                sleep(0)
            ended.append("child")

    def parent() -> None:
        with TaskGroup() as group:
            group.spawn(child)
        ended.append("not here")

    thread = spawn(parent)
    sleep(0)
    for _ in range(4):
        sleep(0)
        thread.cancel()
    thread.join()
    assert ended == ["child"]
    assert isinstance(thread.exception, Cancelled)


def test_a_bound_around_the_block_is_raised_as_itself() -> None:
    for exception in (None, ConnectionError, ConnectionError("mine")):
        with (
            pytest.raises((Timeout, ConnectionError)) as caught,
            Timeout(0.001, exception) as bound,
            TaskGroup() as group,
        ):
            group.spawn(Event().wait)
        assert bound.expired
        assert isinstance(caught.value, Timeout if exception is None else ConnectionError)
    with Timeout(0.001, False) as silent, TaskGroup() as group:
        group.spawn(Event().wait)
    assert silent.expired


def test_errors_of_an_interrupted_block_are_reported() -> None:
    heard: list[tuple[str, str]] = []

    def fail_when_cancelled() -> None:
        try:
            Event().wait()
        except Cancelled:
            raise KeyError("while ending") from None

    def hear(thread: GreenThread[object], exc: BaseException) -> None:
        heard.append((thread.name, str(exc)))

    previous = on_unhandled(hear)
    try:
        with pytest.raises(Timeout), Timeout(0.001), TaskGroup() as group:
            group.spawn(fail_when_cancelled, name="ending")
    finally:
        on_unhandled(previous)
    assert heard == [("ending", "'while ending'")]


def test_a_child_that_wants_the_program_to_end_is_not_wrapped() -> None:
    with pytest.raises(SystemExit), TaskGroup() as group:  # noqa: PT012 - the block
        group.spawn(fail, SystemExit(3))
        Event().wait()


def test_groups_nest() -> None:
    ended: list[str] = []

    def inner() -> None:
        try:
            with TaskGroup("inner") as group:
                group.spawn(Event().wait)
        finally:
            ended.append("inner")

    with pytest.raises(ExceptionGroup) as caught, TaskGroup("outer") as outer:  # noqa: PT012
        outer.spawn(inner)
        outer.spawn(inner)
        sleep(0)
        outer.spawn(fail, ValueError())
    assert ended == ["inner", "inner"]
    assert len(caught.value.exceptions) == 1


def test_a_group_is_entered_once_and_takes_nobody_when_it_ends() -> None:
    group = TaskGroup()
    with pytest.raises(Closed):
        group.spawn(sleep)
    with group:
        pass
    with pytest.raises(Busy), group:
        pass

    def late() -> None:
        try:
            Event().wait()
        except Cancelled:
            with pytest.raises(Closed):
                ending.spawn(sleep)
            raise

    with pytest.raises(ExceptionGroup), TaskGroup() as ending:  # noqa: PT012 - the block
        ending.spawn(late)
        sleep(0)
        raise ValueError


def test_cancelling_a_group_leaves_its_block_alone() -> None:
    with TaskGroup() as group:
        threads = [group.spawn(Event().wait) for _ in range(3)]
        sleep(0)
        group.cancel()
        for thread in threads:
            thread.join()
        went_on = True
    assert went_on


STEP = st.sampled_from(["return", "fail", "wait", "cancel parent", "timeout"])


@given(st.lists(STEP, max_size=8), st.integers(0, 3))
def test_whatever_happens_no_child_outlives_its_group(  # noqa: C901 - a model and its steps
    steps: list[str], turns: int
) -> None:
    alive = 0
    permits = Semaphore(0)

    def child(step: str, after: int) -> None:
        nonlocal alive
        alive += 1
        try:
            for _ in range(after):
                sleep(0)
            if step == "fail":
                raise ValueError(step)
            if step == "wait":
                permits.acquire()
            elif step == "cancel parent":
                thread.cancel()
            elif step == "timeout":
                with Timeout(0.0005, False):
                    permits.acquire()
        finally:
            try:
                sleep(0)
            finally:
                alive -= 1

    def parent() -> str:
        try:
            with Timeout(0.003, False), TaskGroup() as group:
                for number, step in enumerate(steps):
                    group.spawn(child, step, number % 3)
                for _ in range(turns):
                    sleep(0)
        except ExceptionGroup as exc:
            return "errors" if exc.split(ValueError)[1] is None else f"others: {exc!r}"
        finally:
            assert alive == 0
        return "ended"

    thread = spawn(parent)
    thread.join()
    if thread.exception is not None:
        assert isinstance(thread.exception, Cancelled)
        assert "cancel parent" in steps
    elif thread.wait() != "ended":
        assert thread.wait() == "errors"
        assert "fail" in steps
    assert alive == 0
