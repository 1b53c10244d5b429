"""The hub: generations of descriptors, other native threads, and what it costs to be idle."""

from __future__ import annotations

import gc
import os
import threading

import pytest
from core.programs import run

from verdant import Event, TimedOut, Timeout, sleep, spawn
from verdant.core import FdWatch, Hub, current_hub, watch_fd


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def native(fn: object, *args: object) -> None:
    thread = threading.Thread(target=fn, args=args)  # type: ignore[arg-type] # any function
    thread.start()
    thread.join()


def test_a_hub_is_closed_when_its_native_thread_ends() -> None:
    hubs: list[Hub] = []

    def use_a_hub() -> None:
        hubs.append(current_hub())
        assert spawn(lambda: 5).wait() == 5
        with Timeout(0.001, False):
            Event().wait()

    native(use_a_hub)
    before = descriptors()
    for _ in range(20):
        native(use_a_hub)
    assert descriptors() == before
    # Wake-ups that come too late go nowhere, and write to nobody's descriptor.
    reading, writing = os.pipe2(os.O_NONBLOCK)
    for hub in hubs:
        hub.run_soon_threadsafe(print, "never")
    with pytest.raises(BlockingIOError):
        os.read(reading, 1)
    os.close(reading)
    os.close(writing)


def test_native_threads_leave_nothing_behind() -> None:
    def use_a_hub() -> None:
        assert spawn(lambda: 5).wait() == 5

    def several(count: int) -> int:
        for _ in range(count):
            native(use_a_hub)
        gc.collect()
        return len(gc.get_objects())

    several(5)
    assert several(50) - several(5) < 50


def test_waiting_threads_of_several_hubs_hear_of_one_event() -> None:
    event = Event()
    heard: list[int] = []
    ready = threading.Semaphore(0)

    def wait(number: int) -> None:
        def one() -> None:
            ready.release()
            if event.wait(30):
                heard.append(number)

        threads = [spawn(one) for _ in range(3)]
        for thread in threads:
            thread.wait()

    natives = [threading.Thread(target=wait, args=(number,)) for number in range(4)]
    for thread in natives:
        thread.start()
    for _ in range(12):
        ready.acquire()
    event.set()
    for thread in natives:
        thread.join(30)
    assert sorted(heard) == sorted(list(range(4)) * 3)


def test_an_event_set_between_the_look_and_the_line_is_not_slept_through() -> None:
    class Late(Event):
        """Set, in another native thread, when the waiter stands in line already."""

        __slots__ = ()

        def is_set(self) -> bool:
            native(self.set)
            return super().is_set()

    for _ in range(20):
        assert Late().wait(10)
        # Its wake-up, which found nobody, does not end another wait.
        assert not Event().wait(0.0005)


def test_events_set_in_a_native_thread_wake_one_after_the_other() -> None:
    events = [Event() for _ in range(2000)]
    turn = threading.Semaphore(0)

    def setter() -> None:
        for event in events:
            turn.acquire()
            event.set()

    thread = threading.Thread(target=setter)
    thread.start()
    for event in events:
        turn.release()
        assert event.wait(30)
    thread.join()


def test_timeouts_and_wake_ups_from_native_threads_do_not_cross() -> None:
    event = Event()
    stop = threading.Event()

    def setter() -> None:
        while not stop.is_set():
            event.set()
            event.clear()

    thread = threading.Thread(target=setter)
    thread.start()
    met = 0

    def waiter(number: int) -> None:
        nonlocal met
        for _ in range(300):
            with Timeout(0.0001 * (number % 3), False) as bound:
                event.wait(0.0001 * (number % 2))
                Event().wait()
            assert bound.expired
            met += 1
            # A wake-up that was left over would end this wait at once.
            assert not Event().wait(0)

    threads = [spawn(waiter, number) for number in range(6)]
    try:
        for one in threads:
            one.wait()
    finally:
        stop.set()
        thread.join()
    assert met == 1800


def test_an_event_is_not_given_to_a_later_file_with_the_same_number() -> None:
    # Two pipes become readable in one poll. Whoever is woken first puts a silent pipe in the other
    # one's place and waits for it, while the event of what was there before is still in hand.
    first, second = os.pipe2(os.O_NONBLOCK), os.pipe2(os.O_NONBLOCK)
    watches = {pair[0]: watch_fd(pair[0]) for pair in (first, second)}
    made: list[tuple[FdWatch, tuple[int, int]]] = []

    def swap(mine: tuple[int, int], other: tuple[int, int]) -> None:
        try:
            watches[mine[0]].wait_readable()
        except OSError:
            return
        if made:
            return
        watches[other[0]].close()
        silent = os.pipe2(os.O_NONBLOCK)
        os.dup2(silent[0], other[0], inheritable=False)
        watch = watch_fd(other[0])
        made.append((watch, silent))
        with pytest.raises(TimedOut):
            watch.wait_readable(0.01)
        os.write(silent[1], b"x")
        watch.wait_readable(10)
        assert watch.readable

    threads = [spawn(swap, first, second), spawn(swap, second, first)]
    sleep(0)
    os.write(first[1], b"x")
    os.write(second[1], b"x")
    for thread in threads:
        thread.wait()
    watch, silent = made[0]
    watch.close()
    for one in watches.values():
        one.close()
    for pair in (first, second, silent):
        os.close(pair[0])
        os.close(pair[1])


def test_an_idle_program_uses_no_processor() -> None:
    printed = run(
        """
import os, time
from verdant import *
from verdant.core import watch_fd

# A server's idle state: connections that wait for data, a timeout far away, and a main that waits.
pipes = [os.pipe2(os.O_NONBLOCK) for _ in range(100)]
for reading, _ in pipes:
    spawn(watch_fd(reading).wait_readable)
for bound in (None, 3600):
    done = Event()
    def stop():
        time_used = time.process_time() - before
        print(time_used < 0.01 * (time.monotonic() - began))
        done.set()
    before, began = time.process_time(), time.monotonic()
    import _thread
    from verdant.core import current_hub
    hub = current_hub()
    def late():
        time.sleep(1.5)
        hub.run_soon_threadsafe(stop)
    _thread.start_new_thread(late, ())
    done.wait(bound)
"""
    )
    assert printed == "True\nTrue\n"
