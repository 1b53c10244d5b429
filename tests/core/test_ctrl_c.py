"""Ctrl-C in programs that are not patched: the main program's, where it waits."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from textwrap import dedent

import pytest
from core.programs import PROGRAM_S, run

PROLOGUE = """
import os, signal, sys
from verdant import Event, GreenPool, run_in_worker, sleep, spawn
from verdant.core import current_hub
def ctrl_c():
    os.kill(os.getpid(), signal.SIGINT)
    # The interpreter runs handlers between two instructions of Python, soon.
    for _ in range(1000):
        pass
"""


def test_a_green_thread_is_not_hit_between_two_lines() -> None:
    printed = run(
        PROLOGUE
        + """
done = []
def work():
    ctrl_c()
    done.append("whole")
working = spawn(work)
try:
    Event().wait()
except KeyboardInterrupt:
    print(done, working.done, working.exception)
"""
    )
    assert printed == "['whole'] True None\n"


def test_main_gets_it_at_once_while_it_computes() -> None:
    printed = run(
        PROLOGUE
        + """
spawn(sleep, 0.001).wait()
try:
    ctrl_c()
    print("too late")
except KeyboardInterrupt:
    print("at once")
"""
    )
    assert printed == "at once\n"


def test_a_greenlet_that_main_made_for_itself_counts_as_main() -> None:
    printed = run(
        PROLOGUE
        + """
from greenlet import greenlet
current_hub()
def inner():
    try:
        ctrl_c()
        print("too late")
    except KeyboardInterrupt:
        print("at once")
greenlet(inner).switch()
"""
    )
    assert printed == "at once\n"


def test_main_hears_of_it_at_its_next_wait_when_it_is_about_to_run() -> None:
    printed = run(
        PROLOGUE
        + """
event = Event()
def work():
    event.set()
    ctrl_c()
spawn(work)
event.wait()
print("woken: what it was given is its own")
try:
    sleep(0)
    sleep(0)
    print("too late")
except KeyboardInterrupt:
    print("interrupted")
"""
    )
    assert printed == "woken: what it was given is its own\ninterrupted\n"


def test_a_second_one_stops_whoever_never_waits() -> None:
    printed = run(
        PROLOGUE
        + """
def hog():
    ctrl_c()
    print("spared", flush=True)
    ctrl_c()
    print("too late")
hogging = spawn(hog)
try:
    Event().wait()
except KeyboardInterrupt:
    print("interrupted", type(hogging.exception).__name__)
"""
    )
    assert printed == "spared\ninterrupted KeyboardInterrupt\n"


def test_each_one_counts_when_the_last_has_been_raised() -> None:
    printed = run(
        PROLOGUE
        + """
for number in range(3):
    spawn(ctrl_c)
    try:
        Event().wait()
    except KeyboardInterrupt:
        print(number)
"""
    )
    assert printed == "0\n1\n2\n"


@pytest.mark.parametrize("handler", ["lambda *_: print('mine')", "signal.SIG_IGN"])
def test_a_handler_of_the_programs_own_stays(handler: str) -> None:
    printed = run(
        PROLOGUE
        + f"""
mine = {handler}
signal.signal(signal.SIGINT, mine)
spawn(sleep, 0.001).wait()
print(signal.getsignal(signal.SIGINT) is mine)
"""
    )
    assert printed == "True\n"


def test_without_a_hub_and_in_other_native_threads_nothing_is_touched() -> None:
    printed = run(
        PROLOGUE
        + """
import threading
print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)
thread = threading.Thread(target=lambda: spawn(sleep, 0.001).wait())
thread.start()
thread.join()
print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)
"""
    )
    assert printed == "True\nTrue\n"


def test_a_forked_child_hears_of_its_own() -> None:
    printed = run(
        PROLOGUE
        + """
spawn(sleep, 0.001).wait()
child = os.fork()
if child == 0:
    spawn(ctrl_c)
    try:
        Event().wait()
    except KeyboardInterrupt:
        os._exit(7)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    )
    assert printed == "7\n"


def test_a_pool_keeps_its_places_whenever_it_comes() -> None:
    rounds = 30
    text = dedent(
        PROLOGUE
        + f"""
pool = GreenPool(4)
done = []
for number in range({rounds}):
    over = Event()
    def work():
        while not over.is_set():
            sleep(0)
        done.append(number)
    for _ in range(4):
        pool.spawn(work)
    try:
        print("ready", flush=True)
        while True:
            sleep(0)
    except KeyboardInterrupt:
        over.set()
    pool.waitall()
print(pool.free(), len(done))
"""
    )
    process = subprocess.Popen(
        [sys.executable, "-c", text], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    try:
        for _ in range(rounds):
            assert process.stdout.readline() == "ready\n"
            os.kill(process.pid, signal.SIGINT)
        assert process.stdout.read() == f"4 {4 * rounds}\n"
        assert process.wait(PROGRAM_S) == 0
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
