"""Green threads: links, names, context variables, storage."""

from __future__ import annotations

import contextvars
import gc
import weakref
from functools import partial

import pytest

from verdant import Event, GreenThread, local, on_unhandled, run_in_worker, sleep, spawn
from verdant import spawn_after as after


def test_links_are_called_in_order_and_can_be_taken_back() -> None:
    called: list[tuple[str, object]] = []

    def link(which: str) -> partial[None]:
        return partial(_note, which)

    def _note(which: str, thread: GreenThread[object]) -> None:
        called.append((which, thread.done))

    thread = spawn(lambda: 5)
    first, second, third = link("first"), link("second"), link("third")
    for one in (first, second, third):
        thread.at_end(one)
    assert thread.not_at_end(second)
    assert not thread.not_at_end(second)
    assert thread.wait() == 5
    assert called == [("first", True), ("third", True)]
    thread.at_end(link("late"))
    assert called[-1] == ("late", True)


@pytest.mark.parametrize("begun", [False, True])
def test_links_are_called_for_cancelled_threads_too(begun: bool) -> None:
    ended: list[GreenThread[object]] = []
    thread = spawn(Event().wait)
    thread.at_end(ended.append)
    if begun:
        sleep(0)
    thread.cancel()
    thread.join()
    assert ended == [thread]


def test_a_link_that_fails_is_reported_and_the_next_is_called() -> None:
    heard: list[BaseException] = []
    called: list[object] = []

    def fail(_: object) -> None:
        raise ValueError("link")

    previous = on_unhandled(lambda _, exc: heard.append(exc))
    try:
        thread = spawn(lambda: 1)
        thread.at_end(fail)
        thread.at_end(called.append)
        assert thread.wait() == 1
    finally:
        on_unhandled(previous)
    assert [str(exc) for exc in heard] == ["link"]
    assert called == [thread]


def test_names_are_given_taken_from_the_function_or_changed() -> None:
    def work() -> None:
        """Nothing."""

    assert spawn(work).name.endswith("work")
    thread = spawn(work, name="one")
    assert thread.name == "one"
    thread.name = "two"
    assert "'two'" in repr(thread)
    states = [repr(thread)]
    running = spawn(lambda: states.append(repr(running)))
    thread.join()
    running.join()
    states.append(repr(thread))
    assert [state.split()[-1] for state in states] == ["ready>", "running>", "done>"]


VARIABLE: contextvars.ContextVar[str] = contextvars.ContextVar("VARIABLE", default="none")


def test_each_thread_has_the_context_of_its_maker_at_that_moment() -> None:
    def child(own: str) -> tuple[str, str]:
        found = VARIABLE.get()
        VARIABLE.set(own)
        sleep(0)
        return found, VARIABLE.get()

    def all_of_it() -> None:
        VARIABLE.set("a")
        one = spawn(child, "one")
        VARIABLE.set("b")
        two = after(0.001, child, "two")
        VARIABLE.set("c")
        assert one.wait() == ("a", "one")
        assert two.wait() == ("b", "two")
        assert VARIABLE.get() == "c"

    spawn(all_of_it).wait()
    assert VARIABLE.get() == "none"


def test_a_worker_sees_the_context_of_its_caller_and_changes_nothing_in_it() -> None:
    def call() -> str:
        found = VARIABLE.get()
        VARIABLE.set("in the worker")
        return found

    def all_of_it() -> None:
        VARIABLE.set("caller")
        assert run_in_worker(call) == "caller"
        assert VARIABLE.get() == "caller"

    spawn(all_of_it).wait()


def test_local_storage_is_per_thread_and_goes_with_it() -> None:
    class Kept:
        """Something a weak reference can be made to."""

    storage = local()
    storage.value = "main"
    seen: list[object] = []
    references = []

    def work(number: int) -> None:
        seen.append(getattr(storage, "value", None))
        storage.value = Kept()
        references.append(weakref.ref(storage.value))
        sleep(0)
        assert storage.value is references[number]()

    threads = [spawn(work, number) for number in range(3)]
    for thread in threads:
        thread.wait()
    assert seen == [None] * 3
    assert storage.value == "main"
    del thread, threads
    gc.collect()
    assert [reference() for reference in references] == [None] * 3
