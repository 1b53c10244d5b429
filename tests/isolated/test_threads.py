"""Threads under the patch where the stdlib's own tests do not look: Ctrl-C, fairness, reports."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable


def test_ctrl_c_is_the_main_programs(run_patched: Callable[..., str]) -> None:
    run_patched("""
import signal, threading
assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
ended = []
def busy():
    signal.raise_signal(signal.SIGINT)
    # It goes on: Ctrl-C was not for it.
    ended.append(1)
waiting = threading.Event()
try:
    spawn(busy)
    waiting.wait()
except KeyboardInterrupt:
    pass
else:
    raise AssertionError("nobody was interrupted")
assert ended == [1]
""")


def test_a_second_ctrl_c_stops_a_thread_that_never_waits(run_patched: Callable[..., str]) -> None:
    run_patched("""
import signal, threading
def hog():
    signal.raise_signal(signal.SIGINT)
    signal.raise_signal(signal.SIGINT)
    raise AssertionError("it went on")
hogging = spawn(hog)
for _ in range(2):
    # The one that was for main, and the one that stopped the other thread.
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        pass
assert isinstance(hogging.exception, KeyboardInterrupt)
""")


def test_a_handler_of_ones_own_for_sigint_stays(run_program: Callable[..., str]) -> None:
    run_program("""
import signal
handler = lambda signum, frame: None
signal.signal(signal.SIGINT, handler)
from verdant.patcher import monkey_patch
monkey_patch()
assert signal.getsignal(signal.SIGINT) is handler
""")


@pytest.mark.parametrize(
    "wait",
    [
        "select.select([reader], [], [])",
        "poller.poll()",
        "epoller.poll()",
        "selectors_.select()",
    ],
)
def test_what_is_always_ready_keeps_nobody_from_running(
    wait: str, run_patched: Callable[..., str]
) -> None:
    run_patched(f"""
import os, select, selectors
reader, writer = os.pipe()
os.write(writer, b"x")
poller, epoller, selectors_ = select.poll(), select.epoll(), selectors.DefaultSelector()
poller.register(reader)
epoller.register(reader)
selectors_.register(reader, selectors.EVENT_READ)
done = []
def others():
    for turn in range(5):
        sleep(0)
    done.append(1)
spawn(others)
# It never waits, since there is something to read each time.
while not done:
    {wait}
""")


def test_a_failed_thread_is_told_of_by_the_hook(run_patched: Callable[..., str]) -> None:
    out = run_patched("""
import _thread, sys, threading
told = threading.Semaphore(0)
def hook(said):
    # From 3.13 the function is in the message.
    print(said.exc_type.__name__, said.err_msg, said.object or "")
    told.release()
sys.unraisablehook = hook
def fails():
    raise ValueError("told")
_thread.start_new_thread(fails, ())
told.acquire()
# This one ends its thread and nothing else.
_thread.start_new_thread(sys.exit, ())
sleep(0)
""")
    assert out.startswith("ValueError Exception ignored in thread started by <function fails at ")


def test_without_a_hook_of_ones_own_it_goes_to_stderr(run_patched: Callable[..., str]) -> None:
    run_patched("""
import _thread, io, sys
sys.stderr, kept = io.StringIO(), sys.stderr
def fails():
    raise ValueError("told")
_thread.start_new_thread(fails, ())
sleep(0)
text, sys.stderr = sys.stderr.getvalue(), kept
assert text.startswith("Exception ignored in thread started by: <function fails at "), text
assert text.endswith("ValueError: told\\n"), text
""")


def test_threads_that_run_are_counted(run_patched: Callable[..., str]) -> None:
    run_patched("""
import _thread, threading
from verdant import run_in_worker
run_in_worker(int)
assert _thread._count() == 0
go = threading.Event()
threads = [threading.Thread(target=go.wait) for _ in range(3)]
for thread in threads: thread.start()
assert _thread._count() == 3
go.set()
for thread in threads: thread.join()
assert _thread._count() == 0
cancelled = threading.Thread(target=go.wait)
""")
