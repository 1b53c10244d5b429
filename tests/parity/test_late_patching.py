"""What users suffer when they patch too late: here a lock is converted, or named by its place."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

LIBRARY = """
import sys, threading, types, warnings

library = types.ModuleType("library")
sys.modules["library"] = library
exec('''
import threading
from functools import cached_property

class Client:
    shared = threading.Lock()
    def __init__(self):
        self.lock = threading.RLock()
        self.table = {"lock": threading.Lock()}
        self.several = [threading.Lock(), threading.Lock()]
    @cached_property
    def connection(self):
        return object()

class Slotted:
    __slots__ = ("lock",)
    def __init__(self):
        self.lock = threading.Lock()

def locked(function):
    lock = threading.Lock()
    def wrapper():
        with lock:
            return function()
    wrapper.lock = lambda: lock
    return wrapper

client, slotted = Client(), Slotted()
twin = client.lock
wrapped = locked(lambda: 42)
''', vars(library))

def patch():
    from verdant.patcher import PatchWarning, monkey_patch
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        monkey_patch()
    assert all(w.category is PatchWarning and w.filename == "<string>" for w in caught)
    return sorted(str(w.message).partition(" is still")[0] for w in caught)
"""


def test_free_locks_of_a_library_become_green(run_program: Callable[..., str]) -> None:
    run_program(
        LIBRARY
        + """
assert patch() == []
from verdant.green.thread import Lock, RLock
client = library.client
assert type(client.lock) is RLock
assert library.twin is client.lock
assert type(client.table["lock"]) is Lock
assert [type(lock) for lock in client.several] == [Lock, Lock]
assert type(library.Client.shared) is Lock is type(library.Client().shared)
assert type(library.slotted.lock) is Lock
assert type(library.wrapped.lock()) is Lock
assert library.wrapped() == 42
assert client.connection is client.connection
"""
    )


def test_locks_that_stay_native_are_named_by_module_and_attribute(
    run_program: Callable[..., str],
) -> None:
    out = run_program(
        LIBRARY
        + """
library.client.lock.acquire()
library.slotted.lock.acquire()
library.Client.shared.acquire()
library.client.several[1].acquire()
library.wrapped.lock().acquire()
library.pair = (threading.Lock(), 1)
del library.twin
print(*patch(), sep="\\n")
"""
    )
    assert out.splitlines() == [
        "library.Client.lock",
        "library.Client.several",
        "library.Client.shared",
        "library.Slotted",
        "library.locked.<locals>.wrapper",
        "library.pair",
    ]


def test_a_green_thread_that_parks_in_an_old_lock_stops_nobody(
    run_program: Callable[..., str],
) -> None:
    run_program(
        LIBRARY
        + """
patch()
from verdant import sleep, spawn
def work(turns):
    with library.client.several[0], library.Client.shared:
        sleep(0)
        turns.append(1)
turns = []
for thread in [spawn(work, turns) for _ in range(20)]:
    thread.wait()
assert len(turns) == 20
"""
    )


def test_a_runtime_that_ran_before_the_patch_goes_on(run_program: Callable[..., str]) -> None:
    run_program("""
import threading
from verdant import Event, Queue, run_in_worker, sleep, spawn
started = Event()
queue = Queue()
def serve():
    started.set()
    while (item := queue.get()) is not None:
        run_in_worker(int, item)
        sleep(0)
    return "served"
serving = spawn(serve)
started.wait()
assert run_in_worker(int, "1") == 1
executor_done = threading.Event()
native = threading.Thread(target=executor_done.wait)
native.start()

from verdant.patcher import monkey_patch
monkey_patch()
for number in range(50):
    queue.put(str(number))
queue.put(None)
assert serving.wait() == "served"
assert run_in_worker(int, "2") == 2
# A native thread that waited before goes on waiting, and hears of it.
executor_done.set()
native.join()
""")


def test_a_program_that_knows_nothing_is_patched_first(
    run_program: Callable[..., str], tmp_path: Path
) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "from time import sleep\n"
        "from threading import Lock\n"
        "from verdant.green import thread, time\n"
        "print(sleep is time.sleep, Lock is thread.Lock)\n"
    )
    out = run_program(
        """
import subprocess, sys
command = [sys.executable, "-m", "verdant.cli.run", sys.argv[1]]
print(subprocess.check_output(command, text=True))
""",
        str(script),
    )
    assert out.split() == ["True", "True"]
