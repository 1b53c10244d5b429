"""The runtime's promises: threads, timeouts, pools, timers, workers, signals."""

from __future__ import annotations

import contextvars
import os
import signal
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verdant import (
    Event,
    GreenPool,
    GreenThread,
    TimedOut,
    Timeout,
    WasCancelled,
    on_unhandled,
    run_in_worker,
    sleep,
    spawn,
)
from verdant.core import current_hub, watch_fd
from verdant.core.timers import Timers

if TYPE_CHECKING:
    from collections.abc import Iterator


@given(st.lists(st.tuples(st.integers(0, 50), st.booleans()), max_size=200))
def test_timers_fire_in_order_and_never_when_cancelled(entries: list[tuple[int, bool]]) -> None:
    timers = Timers()
    fired: list[tuple[int, int]] = []
    made = [
        timers.add(deadline, lambda *what: fired.append(what), deadline, order)
        for order, (deadline, _) in enumerate(entries)
    ]
    for timer, (_, cancelled) in zip(made, entries, strict=True):
        if cancelled:
            timer.cancel()
    assert len(timers) == sum(not cancelled for _, cancelled in entries)
    for callback, args in timers.due(50):
        callback(*args)
    expected = [(deadline, n) for n, (deadline, cancelled) in enumerate(entries) if not cancelled]
    assert fired == sorted(expected)
    assert timers.next_deadline() is None


def test_results_and_exceptions_are_kept() -> None:
    def fail() -> None:
        raise KeyError("x")

    good, bad = spawn(lambda: 42), spawn(fail)
    assert good.wait() == 42
    with pytest.raises(KeyError):
        bad.wait()
    assert bad.done
    assert isinstance(bad.exception, KeyError)


def test_an_error_that_nobody_waits_for_is_told_once_with_its_name() -> None:
    heard: list[tuple[str, str]] = []

    def fail() -> None:
        raise ValueError("lost")

    def hear(thread: GreenThread[object], exc: BaseException) -> None:
        heard.append((thread.name, str(exc)))

    previous = on_unhandled(hear)
    try:
        thread = spawn(fail, name="the lost one")
        while not thread.done:
            sleep(0)
        with pytest.raises(ValueError, match="lost"):
            thread.wait()
    finally:
        on_unhandled(previous)
    assert heard == [("the lost one", "lost")]


def test_cancel_runs_finally_and_has_no_result() -> None:
    cleaned = Event()

    def wait() -> None:
        try:
            Event().wait()
        finally:
            cleaned.set()

    thread = spawn(wait)
    sleep(0)
    thread.cancel()
    assert thread.join()
    assert cleaned.is_set()
    with pytest.raises(WasCancelled):
        thread.wait()


def test_a_thread_cancelled_before_it_began_never_does() -> None:
    began: list[int] = []
    thread = spawn(began.append, 1)
    thread.cancel()
    thread.join()
    assert not began


def test_nested_timeouts_tell_which_bound_was_met() -> None:
    with pytest.raises(Timeout) as caught, Timeout(30) as outer, Timeout(0.001) as inner:
        Event().wait()
    assert caught.value is inner
    assert caught.value is not outer


def test_a_timeout_is_not_raised_after_its_block() -> None:
    bound = Timeout(0.0)
    with bound:
        pass
    sleep(0)
    sleep(0.001)
    assert not bound.expired


def test_a_timeout_reaches_a_thread_that_is_always_ready() -> None:
    def spin() -> None:
        while True:
            sleep(0)

    with pytest.raises(Timeout), Timeout(0.01):
        spin()


def test_a_silent_timeout_and_one_with_its_own_exception() -> None:
    with Timeout(0.001, False) as bound:
        Event().wait()
    assert bound.expired
    with pytest.raises(ConnectionError), Timeout(0.001, ConnectionError("mine")):
        Event().wait()


def test_context_variables_are_inherited_and_private() -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("v", default="none")
    variable.set("parent")

    def child() -> str:
        before = variable.get()
        variable.set("child")
        return before

    assert spawn(child).wait() == "parent"
    assert variable.get() == "parent"


def test_a_pool_is_bounded_and_imap_keeps_order() -> None:
    pool = GreenPool(3)
    most = 0

    def work(number: int) -> int:
        nonlocal most
        most = max(most, pool.running())
        sleep(0)
        return number * 2

    assert list(pool.imap(work, range(20))) == [n * 2 for n in range(20)]
    assert most == 3
    pool.spawn_n(work, 1)
    pool.waitall()
    assert pool.free() == 3


def test_more_jobs_than_workers_all_finish_and_exceptions_come_back() -> None:
    lock = threading.Lock()
    done: list[int] = []

    def job(number: int) -> int:
        with lock:
            done.append(number)
        if number == 7:
            raise OSError("seven")
        return number

    threads = [spawn(lambda n=n: run_in_worker(job, n)) for n in range(60)]
    for number, thread in enumerate(threads):
        if number == 7:
            with pytest.raises(OSError, match="seven"):
                thread.wait()
        else:
            assert thread.wait() == number
    assert sorted(done) == list(range(60))


def test_a_caller_leaves_a_worker_at_once() -> None:
    release = threading.Event()
    with pytest.raises(Timeout), Timeout(0.01):
        run_in_worker(release.wait)
    release.set()


def test_wake_ups_from_native_threads_are_not_lost() -> None:
    hub = current_hub()
    count = 0
    everything = Event()

    def hit() -> None:
        nonlocal count
        count += 1
        if count == 4000:
            everything.set()

    def native() -> None:
        for _ in range(1000):
            hub.run_soon_threadsafe(hit)

    natives = [threading.Thread(target=native) for _ in range(4)]
    for thread in natives:
        thread.start()
    assert everything.wait(30)
    for thread in natives:
        thread.join()


def test_each_native_thread_has_a_hub_of_its_own() -> None:
    found: list[int] = []

    def native() -> None:
        found.append(spawn(lambda: 5).wait())

    thread = threading.Thread(target=native)
    thread.start()
    thread.join()
    assert found == [5]


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reading, writing = os.pipe2(os.O_NONBLOCK)
    yield reading, writing
    os.close(writing)
    os.close(reading)


def test_a_watch_wakes_every_reader_and_closing_wakes_them_too(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    watch = watch_fd(reading)
    threads = [spawn(watch.wait_readable) for _ in range(3)]
    sleep(0)
    os.write(writing, b"x")
    for thread in threads:
        thread.wait()
    waiting = [spawn(watch.wait_readable) for _ in range(2)]
    sleep(0)
    watch.close()
    for thread in waiting:
        with pytest.raises(OSError, match="Bad file descriptor"):
            thread.wait()
    with pytest.raises(OSError, match="Bad file descriptor"):
        watch.wait_readable()


def test_a_wait_on_a_descriptor_has_a_bound(pipe: tuple[int, int]) -> None:
    watch = watch_fd(pipe[0])
    with pytest.raises(TimedOut):
        watch.wait_readable(0.001)
    watch.close()


INTERRUPTED = {
    "idle": "Event().wait()",
    "busy": "spawn(busy); Event().wait()",
    "waiting for a thread": "spawn(Event().wait).wait()",
}


@pytest.mark.parametrize("main", INTERRUPTED.values(), ids=INTERRUPTED)
def test_ctrl_c_reaches_the_main_program(main: str) -> None:
    program = (
        "from verdant import Event, sleep, spawn\n"
        "def busy():\n    while True: sleep(0)\n"
        "def tell(): print('ready', flush=True)\n"
        f"spawn(tell)\ntry:\n    {main}\nexcept KeyboardInterrupt:\n    print('interrupted')\n"
    )
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == b"ready\n"
        process.send_signal(signal.SIGINT)
        assert process.stdout.read() == b"interrupted\n"
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
