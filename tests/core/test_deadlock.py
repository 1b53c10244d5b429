"""Deadlocks: told when nothing could wake the program, never when something could."""

from __future__ import annotations

import pytest
from core.programs import run

# In processes of their own: pytest has handlers and native threads, and so would never be accused.

PROLOGUE = """
import os, signal, threading, time
from verdant import *
from verdant.core import current_hub, watch_fd
"""

STUCK = {
    "an event": ("Event().wait()", "'main' waits in Event.wait (Event at"),
    "a thread that waits": (
        "spawn(Event().wait, name='C').wait()",
        "'main' waits in GreenThread.join for 'C' to end at",
    ),
    "a queue, with others that have ended": (
        "spawn(sleep, 0.001).wait(); Queue().get()",
        "'main' waits in Queue.get (Queue at",
    ),
    "a lock and its holder": (
        "lock = RLock()\n"
        "def hold():\n    with lock: Event().wait()\n"
        "spawn(hold, name='holder')\nsleep(0)\nlock.acquire()",
        "'main' waits in Lock.acquire (Lock at",
    ),
    "itself, after a worker was used": (
        "run_in_worker(time.sleep, 0.001)\nSemaphore(0).acquire()",
        "'main' waits in Semaphore.acquire",
    ),
    "itself, with a descriptor that nobody waits for": (
        "r, w = os.pipe()\nos.set_blocking(r, False)\nwatch_fd(r)\nEvent().wait()",
        "'main' waits in Event.wait",
    ),
    "itself, with the dump's own handler": (
        "dump_on_signal()\nEvent().wait()",
        "'main' waits in Event.wait",
    ),
    "a pool that is full of itself": (
        "pool = GreenPool(1)\ndef again(): pool.spawn(again)\npool.spawn(again)\npool.waitall()",
        "'main' waits in GreenPool.waitall",
    ),
}


@pytest.mark.parametrize(("wait", "told"), STUCK.values(), ids=STUCK)
def test_a_program_that_nothing_could_wake_is_told_who_waits_for_what(wait: str, told: str) -> None:
    lines = "".join(f"    {line}\n" for line in wait.splitlines())
    printed = run(f"{PROLOGUE}\ntry:\n{lines}\nexcept Deadlock as exc:\n    print(exc)")
    first, *waits = printed.splitlines()
    assert first == "nothing is left that could wake the main program:"
    assert waits[0].lstrip().startswith(told)
    assert "<string>:" in waits[0], "no place"


def test_the_holder_of_a_lock_is_named() -> None:
    wait, _ = STUCK["a lock and its holder"]
    lines = "".join(f"    {line}\n" for line in wait.splitlines())
    printed = run(f"{PROLOGUE}\ntry:\n{lines}\nexcept Deadlock as exc:\n    print(exc)")
    assert "held by 'holder'" in printed
    assert "'holder' waits in Event.wait" in printed


def test_the_program_can_go_on_after_it_was_told() -> None:
    printed = run(
        PROLOGUE
        + """
event = Event()
waiting = spawn(event.wait)
try:
    waiting.wait()
except Deadlock:
    event.set()
print(waiting.wait())
"""
    )
    assert printed == "True\n"


# Each program would be accused within IDLE_S_MIN if the rule were wrong; what wakes it comes later,
# and from a process or a native thread that it cannot see through.
LATE_S = "1.0"
SIGNAL_FROM_OUTSIDE = (
    "import subprocess, sys\n"
    "child = subprocess.Popen([sys.executable, '-c', "
    f"f'import os, time; time.sleep({LATE_S}); os.kill({{os.getpid()}}, {{int(number)}})'])\n"
)

ALIVE = {
    "a signal's handler": (
        "number = signal.SIGUSR1\n"
        "signal.signal(number, lambda *_: event.set())\n" + SIGNAL_FROM_OUTSIDE + "event.wait()\n"
        "child.wait()"
    ),
    "a native thread": (
        f"threading.Thread(target=lambda: (time.sleep({LATE_S}), event.set())).start()\n"
        "event.wait()"
    ),
    "a native thread that threading does not know": (
        "import _thread\n"
        f"_thread.start_new_thread(lambda: (time.sleep({LATE_S}), event.set()), ())\n"
        "event.wait()"
    ),
    "a worker": f"run_in_worker(time.sleep, {LATE_S})\nevent.set()",
    "a worker whose caller has left": (
        "begun = Event()\n"
        f"def late():\n    begun.set()\n    time.sleep({LATE_S})\n    event.set()\n"
        "caller = spawn(run_in_worker, late)\n"
        "begun.wait()\ncaller.cancel()\ncaller.join()\nevent.wait()"
    ),
    "a timer": f"spawn_after({LATE_S}, event.set)\nevent.wait()",
    "a descriptor": (
        "r, w = os.pipe()\nos.set_blocking(r, False)\n"
        "import subprocess, sys\n"
        "child = subprocess.Popen([sys.executable, '-c',\n"
        f"    'import os, time; time.sleep({LATE_S}); os.write(1, b\"x\")'], stdout=w)\n"
        "watch = watch_fd(r)\n"
        "def wait():\n    watch.wait_readable()\n    event.set()\n"
        "spawn(wait)\nevent.wait()\nchild.wait()"
    ),
}


@pytest.mark.parametrize("program", ALIVE.values(), ids=ALIVE)
def test_a_program_that_something_could_wake_is_not_accused(program: str) -> None:
    printed = run(f"{PROLOGUE}\nevent = Event()\n{program}\nprint(event.is_set())")
    assert printed == "True\n"


def test_a_native_thread_that_wakes_nobody_puts_it_off_until_it_ends() -> None:
    printed = run(
        PROLOGUE
        + """
release = threading.Event()
threading.Thread(target=release.wait).start()
hub = current_hub()
spawn_after(0.6, release.set)
try:
    Event().wait()
except Deadlock:
    print("told")
"""
    )
    assert printed == "told\n"
