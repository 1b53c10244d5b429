"""Waiting for signals under the patch: others run meanwhile, and the stdlib's answers come."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

HEAD = """
import os, signal, threading
number = signal.SIGUSR1
def send():
    os.kill(os.getpid(), number)
"""
BLOCKED = HEAD + "signal.pthread_sigmask(signal.SIG_BLOCK, [number, signal.SIGUSR2])\n"

needs_sigtimedwait = pytest.mark.skipif(
    sys.platform == "darwin", reason="macOS has no sigtimedwait, and sigwait stays native there"
)


@needs_sigtimedwait
def test_a_blocked_signal_is_waited_for_beside_others(run_patched: Callable[..., str]) -> None:
    run_patched(
        BLOCKED
        + """
got = beside(lambda: signal.sigwait([signal.SIGUSR2, number]), send)
assert got is signal.SIGUSR1
assert beside(lambda: signal.sigwaitinfo(iter([number])), send).si_pid == os.getpid()
assert beside(lambda: signal.sigtimedwait([number], 60), send).si_signo == number
# For this native thread alone.
to_me = lambda: signal.pthread_kill(threading.main_thread().ident, number)
assert beside(lambda: signal.sigwait([number]), to_me) == number
real_time = signal.SIGRTMIN + 5
signal.pthread_sigmask(signal.SIG_BLOCK, [real_time])
os.kill(os.getpid(), real_time)
assert signal.sigwait([real_time]) == real_time
assert not signal.sigpending()
"""
    )


@needs_sigtimedwait
def test_who_leaves_takes_no_signal(run_patched: Callable[..., str]) -> None:
    run_patched(
        BLOCKED
        + """
assert signal.sigtimedwait([number], 0.02) is None
assert signal.sigtimedwait([number], 0) is None
with Timeout(0.02, False) as bound:
    signal.sigwait([number])
assert bound.expired
waiting = spawn(signal.sigwaitinfo, [number])
sleep(0)
waiting.cancel()
waiting.join()
send()
sleep(0.05)
assert signal.sigpending() == {number}
assert signal.sigwait([number]) == number
for wrong, error in ((([number], -1), ValueError), ((5, 1), TypeError), (([0], 1), ValueError)):
    try:
        signal.sigtimedwait(*wrong)
    except error:
        continue
    raise AssertionError(wrong)
"""
    )


def test_pause_returns_after_a_handler(run_patched: Callable[..., str]) -> None:
    run_patched(
        HEAD
        + """
ran = []
signal.signal(number, lambda *_: ran.append(number))
assert beside(signal.pause, send) is None
assert ran == [number]
# Everybody who pauses hears of it.
paused = [spawn(signal.pause) for _ in range(3)]
sleep(0)
send()
for thread in paused:
    assert thread.join(20)
# Other wake-ups are no signals.
pausing = spawn(signal.pause)
from verdant import run_in_worker
run_in_worker(int)
assert not pausing.done
pausing.cancel()
pausing.join()
"""
    )


def test_pause_ends_by_what_a_handler_raises(run_patched: Callable[..., str]) -> None:
    printed = run_patched(
        HEAD
        + """
def work():
    os.kill(os.getpid(), signal.SIGINT)
    for _ in range(1000):
        pass
spawn(work)
try:
    signal.pause()
    print("too late")
except KeyboardInterrupt:
    print("Ctrl-C")
class Mine(Exception): pass
def handle(*_):
    raise Mine
signal.signal(signal.SIGALRM, handle)
signal.setitimer(signal.ITIMER_REAL, 0.01)
try:
    signal.pause()
    print("too late")
except Mine:
    print("mine")
"""
    )
    assert printed == "Ctrl-C\nmine\n"


def test_native_threads_wait_natively(run_patched: Callable[..., str]) -> None:
    run_patched(
        BLOCKED
        + """
from verdant import run_in_worker
def work():
    # It has no hub: what it waits in is the kernel.
    send()
    return signal.sigwait([number])
assert run_in_worker(work) == number
"""
    )
