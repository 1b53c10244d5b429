"""Seeing inside: dumps, signals, counters, stalls."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

import pytest
from core.programs import PROGRAM_S

from verdant import (
    Event,
    HubStatistics,
    RLock,
    Stall,
    StallDetector,
    Timeout,
    dump,
    hub_statistics,
    run_in_worker,
    sleep,
    spawn,
)
from verdant.core import current_hub, watch_fd

if TYPE_CHECKING:
    from collections.abc import Callable


def part_of(text: str, name: str) -> str:
    """What a dump says of one green thread."""
    start = text.index(f"'{name}'")
    return text[start:].split("\n\n", 1)[0]


def test_a_dump_tells_of_every_thread_what_it_waits_for() -> None:
    reading, writing = os.pipe2(os.O_NONBLOCK)
    watch = watch_fd(reading)
    lock = RLock()
    release = threading.Event()

    def hold() -> None:
        with lock:
            Event().wait()

    waits: dict[str, Callable[[], object]] = {
        "holder": hold,
        "locked out": lock.acquire,
        "reader": watch.wait_readable,
        "sleeper": lambda: sleep(60),
        "caller": lambda: run_in_worker(release.wait),
        "joiner": lambda: threads["sleeper"].join(),
    }
    threads = {name: spawn(fn, name=name) for name, fn in waits.items()}
    sleep(0)
    unbegun = spawn(sleep, name="unbegun")
    # Native threads that other tests have left idle may have hubs of their own.
    text = dump().partition(" (this one)")[2].partition("\nnative thread ")[0]
    try:
        assert "'main' runs at" in text
        assert "test_a_dump_tells" in part_of(text, "main")
        assert "waits in Event.wait" in part_of(text, "holder")
        assert "in test_a_dump_tells_of_every_thread_what_it_waits_for.<locals>.hold" in text
        assert "Event().wait()" in part_of(text, "holder")
        assert "held by 'holder'" in part_of(text, "locked out")
        assert f"FdWatch.wait_readable for descriptor {reading}" in part_of(text, "reader")
        assert "waits in sleep" in part_of(text, "sleeper")
        assert "waits in Workers.run(Event.wait)" in part_of(text, "caller")
        assert "for 'sleeper' to end" in part_of(text, "joiner")
        assert part_of(text, "unbegun").rstrip() == "'unbegun' has not begun"
    finally:
        release.set()
        for thread in (*threads.values(), unbegun):
            thread.cancel()
            thread.join()
        watch.close()
        os.close(reading)
        os.close(writing)
    ended = f"{'holder'!r} waits"
    assert ended in text
    assert ended not in dump()


def test_a_dump_tells_of_other_native_threads_too() -> None:
    ready, stop = threading.Event(), threading.Event()

    def native() -> None:
        waiting = spawn(Event().wait, name="abroad")
        sleep(0)
        ready.set()
        stop.wait()
        waiting.cancel()
        waiting.join()

    thread = threading.Thread(target=native)
    thread.start()
    assert ready.wait(30)
    try:
        text = dump()
    finally:
        stop.set()
        thread.join()
    assert "waits in Event.wait" in part_of(text, "abroad")
    assert "stop.wait()" in text
    assert text.count("(this one)") == 1


@pytest.mark.parametrize(
    "busy", ["Event().wait(60)", "while True: pass", "while True: sleep(0)"], ids=str
)
def test_a_signal_asks_for_a_dump(busy: str) -> None:
    program = (
        "from verdant import *\n"
        "dump_on_signal()\n"
        "spawn(Event().wait, name='somebody')\n"
        "spawn(lambda: print('ready', flush=True))\n"
        f"sleep(0)\n{busy}\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        assert process.stdout.readline() == b"ready\n"
        told = b""
        for _ in range(2):
            process.send_signal(signal.SIGUSR2)
            told = b""
            while b"'somebody' waits in Event.wait" not in told:
                line = process.stderr.readline()
                assert line, told
                told += line
        assert f"process {process.pid}".encode() in told or b"'main'" in told
        assert process.poll() is None
    finally:
        process.kill()
        process.communicate(timeout=PROGRAM_S)


def test_counters_of_the_hub() -> None:
    before = hub_statistics()
    reading, writing = os.pipe2(os.O_NONBLOCK)
    watch = watch_fd(reading)
    threads = [spawn(watch.wait_readable), spawn(sleep, 60), spawn(Event().wait)]
    at_once = hub_statistics()
    assert at_once.ready == before.ready + 3
    assert at_once.threads == before.threads + 3
    sleep(0.001)
    later = hub_statistics()
    assert later.turns > before.turns
    assert later.timers == before.timers + 1
    assert later.watches == before.watches + 1
    assert later.waiting == before.waiting + 1
    for thread in threads:
        thread.cancel()
        thread.join()
    watch.close()
    os.close(reading)
    os.close(writing)
    after = hub_statistics()
    assert (after.threads, after.timers, after.watches) == (
        before.threads,
        before.timers,
        before.watches,
    )
    assert isinstance(after, HubStatistics)
    assert hub_statistics(current_hub()).turns >= after.turns


# Long enough that a loaded machine does not take its own slowness for a stall.
LONG_S = 0.2


def hog(until: threading.Event) -> None:
    until.wait(30)


def test_a_stall_is_reported_once_with_thread_line_and_time() -> None:
    stalls: list[Stall] = []
    reported = threading.Event()

    def report(stall: Stall) -> None:
        stalls.append(stall)
        # It goes on holding the hub for as long again.
        threading.Timer(LONG_S, reported.set).start()

    with StallDetector(LONG_S, report) as detector:
        spawn(hog, reported, name="the hog").wait()
        # Until the detector has seen the hub come back.
        with Timeout(30):
            while detector.longest_s < 2 * LONG_S:
                sleep(0.01)
    assert len(stalls) == detector.stalls == 1
    stall = stalls[0]
    assert stall.thread == "the hog"
    assert stall.held_s >= LONG_S
    assert "hog" in stall.stack
    assert "until.wait(30)" in stall.stack
    assert stall.place.partition(":")[0].endswith(".py")
    assert "the hog" in str(stall)


def test_main_and_native_calls_are_caught_on_their_line() -> None:
    stalls: list[Stall] = []
    with StallDetector(LONG_S, stalls.append), Timeout(30):
        while not stalls:
            time.sleep(0.01)
    assert stalls[0].thread == "main"
    assert stalls[0].line == "time.sleep(0.01)"
    assert stalls[0].place.startswith(__file__)


def test_many_who_run_for_a_moment_are_no_stall_and_nor_is_sleep() -> None:
    stalls: list[Stall] = []

    def busy() -> None:
        ends = time.monotonic() + 3 * LONG_S
        while time.monotonic() < ends:
            time.sleep(0.001)
            sleep(0)

    with StallDetector(LONG_S, stalls.append):
        threads = [spawn(busy) for _ in range(20)]
        for thread in threads:
            thread.wait()
        sleep(2 * LONG_S)
    assert stalls == []


def test_a_reporter_that_fails_does_not_end_the_watch(capsys: pytest.CaptureFixture[str]) -> None:
    count = threading.Semaphore(0)

    def fail(_: Stall) -> None:
        count.release()
        raise ValueError("reporter")

    with StallDetector(LONG_S, fail):
        for _ in range(2):
            assert count.acquire(timeout=30)
            sleep(0)
            sleep(0.01)
    assert "reporter" in capsys.readouterr().err
    with pytest.raises(ValueError, match="longer_than_s"):
        StallDetector(0)


def test_stalls_are_logged_when_nobody_else_hears(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("WARNING", "verdant.core"), StallDetector(LONG_S), Timeout(30):
        while not caplog.records:
            time.sleep(0.01)
    assert "has held the hub for" in caplog.text
