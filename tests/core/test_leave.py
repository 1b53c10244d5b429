"""Who runs next when a green thread parks: hand-over from one to the next, calls, beginnings."""

from __future__ import annotations

import gc
import os
import sys

import greenlet
import pytest

from verdant.core import (
    Cancelled,
    GreenThread,
    Timeout,
    current_hub,
    current_thread,
    park,
    sleep,
    spawn,
    unpark,
    watch_fd,
)
from verdant.core.loops import ACCELERATED


def turns(count: int) -> None:
    for _ in range(count):
        sleep(0)


def test_those_who_take_turns_run_in_their_order() -> None:
    said: list[str] = []

    def loop(name: str) -> None:
        for number in range(3):
            said.append(f"{name}{number}")
            sleep(0)

    for thread in [spawn(loop, name) for name in "abc"]:
        thread.wait()
    assert said == ["a0", "b0", "c0", "a1", "b1", "c1", "a2", "b2", "c2"]


def test_threads_are_handed_over_to_each_other_without_the_hub() -> None:
    came_from: list[object] = []

    def trace(event: str, who: tuple[object, object]) -> None:
        if event == "switch":
            came_from.append(who)

    hub = current_hub()
    threads = [spawn(turns, 2) for _ in range(2)]
    sleep(0)
    before = greenlet.settrace(trace)
    try:
        sleep(0)
    finally:
        greenlet.settrace(before)
    first, second = threads
    assert (first, second) in came_from
    assert (first, hub.greenlet) not in came_from
    for thread in threads:
        thread.wait()


def test_a_call_in_between_runs_in_the_hub_and_in_its_place() -> None:
    hub = current_hub()
    said: list[object] = []

    def note(name: str) -> None:
        said.append(name)
        sleep(0)
        said.append(name)

    first = spawn(note, "first")
    hub.run_soon(lambda: said.append(greenlet.getcurrent() is hub.greenlet))
    second = spawn(note, "second")
    for thread in (first, second):
        thread.wait()
    assert said == ["first", True, "second", "first", "second"]


def test_what_a_call_raises_is_the_main_programs() -> None:
    hub = current_hub()

    def bad() -> None:
        raise ZeroDivisionError

    others = [spawn(turns, 3) for _ in range(3)]
    sleep(0)
    hub.run_soon(bad)
    with pytest.raises(ZeroDivisionError):
        others[-1].wait()
    for thread in others:
        assert thread.join()


def test_descriptors_are_polled_however_many_take_turns() -> None:
    read_fd, write_fd = os.pipe()
    os.set_blocking(read_fd, False)
    watch = watch_fd(read_fd)
    over: list[bool] = []

    def busy() -> None:
        while not over:
            sleep(0)

    def write() -> None:
        os.write(write_fd, b"x")

    try:
        threads = [spawn(busy) for _ in range(5)]
        spawn(write)
        with Timeout(30):
            assert watch.read(10) == b"x"
        over.append(True)
        for thread in threads:
            thread.wait()
    finally:
        watch.close()
        os.close(read_fd)
        os.close(write_fd)


def test_an_interrupt_reaches_a_thread_that_handed_over() -> None:
    ended: list[str] = []

    def wait() -> None:
        sleep(0)
        try:
            park()
        except Cancelled:
            ended.append("cancelled")

    threads = [spawn(wait) for _ in range(3)]
    for _ in range(3):
        sleep(0)
    for thread in threads:
        thread.cancel()
    for thread in threads:
        thread.join()
    assert ended == ["cancelled"] * 3


def test_threads_that_begin_each_other_do_not_pile_up_on_one_stack() -> None:
    # Each begins the next while others are ready, deeper than any C stack were they to nest.
    count = 50_000
    left = [count]
    last: list[GreenThread[None]] = []

    def next_one() -> None:
        left[0] -= 1
        if left[0]:
            last[:] = [spawn(next_one)]
            sleep(0)

    last.append(spawn(next_one))
    while left[0]:
        sleep(0)
    last[0].wait()
    assert left == [0]


def test_an_exception_in_hand_is_each_threads_own() -> None:
    seen: list[object] = []

    def fail(number: int) -> None:
        try:
            raise KeyError(number)
        except KeyError as exc:
            sleep(0)
            seen.append(sys.exc_info()[1] is exc)

    for thread in [spawn(fail, number) for number in range(3)]:
        thread.wait()
    assert seen == [True, True, True]


def test_woken_and_handed_over_to_is_no_longer_scheduled() -> None:
    me = current_thread()

    def wake() -> None:
        unpark(me)
        sleep(0)

    thread = spawn(wake)
    park()
    assert not me.scheduled
    thread.wait()
    assert not thread.scheduled


@pytest.mark.skipif(not ACCELERATED, reason="the accelerator is not built or switched off")
def test_frames_memory_is_kept_for_the_next_threads_and_bounded() -> None:
    def maps() -> int:
        gc.collect()
        with open("/proc/self/maps") as lines:
            return sum(1 for _ in lines)

    def burst(count: int) -> None:
        for thread in [spawn(sleep, 0) for _ in range(count)]:
            thread.wait()

    burst(3_000)
    after_one = maps()
    for _ in range(5):
        burst(3_000)
    # What is over the bound goes back to the system; the count of mappings, were it a leak of
    # chunks, would grow by thousands.
    assert maps() < after_one + 500
