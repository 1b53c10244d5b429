"""Locks, logging, events and queues between green threads and threads of the operating system."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

START_NATIVE = """
from verdant.core.originals import start_new_thread
import threading
"""


def test_logging_from_four_native_and_a_hundred_green_threads(
    run_patched: Callable[..., str],
) -> None:
    run_patched(
        START_NATIVE
        + """
import collections, logging, logging.handlers, queue
records = queue.Queue()
handler = logging.handlers.QueueHandler(records)
counted = collections.Counter()

class Parking(logging.Handler):
    # Parks while it holds the handler's lock, as one that sends to a socket does.
    def emit(self, record):
        if record.name.startswith("green"):
            sleep(0)
        counted[record.name] += 1

root = logging.getLogger()
root.setLevel(logging.INFO)
root.addHandler(handler)
root.addHandler(Parking())
MESSAGES = 200
ended = threading.Semaphore(0)
def talk(name):
    log = logging.getLogger(name)
    for number in range(MESSAGES):
        log.info("%d", number)
    ended.release()
names = [f"native{n}" for n in range(4)] + [f"green{n}" for n in range(100)]
for name in names[:4]:
    start_new_thread(talk, (name,))
threads = [spawn(talk, name) for name in names[4:]]
for _ in names:
    ended.acquire()
assert counted == {name: MESSAGES for name in names}
said = collections.defaultdict(list)
while not records.empty():
    record = records.get()
    said[record.name].append(record.getMessage())
assert said == {name: [str(n) for n in range(MESSAGES)] for name in names}
"""
    )


def test_events_conditions_and_queues_in_both_directions(run_patched: Callable[..., str]) -> None:
    run_patched(
        START_NATIVE
        + """
import queue
there, back = queue.Queue(maxsize=1), queue.Queue(maxsize=1)
begin, ended = threading.Event(), threading.Event()
def native():
    begin.wait()
    while (item := there.get()) is not None:
        back.put(item + 1)
    ended.set()
start_new_thread(native, ())
begin.set()
for number in range(500):
    there.put(number)
    assert back.get() == number + 1
there.put(None)
assert ended.wait(60)

condition, turn = threading.Condition(), [0]
def alternate(mine, rounds=200):
    for _ in range(rounds):
        with condition:
            condition.wait_for(lambda: turn[0] % 2 == mine)
            turn[0] += 1
            condition.notify_all()
done = threading.Event()
start_new_thread(lambda: (alternate(1), done.set()), ())
spawn(alternate, 0).wait()
assert done.wait(60)
assert turn == [400]
"""
    )


def test_a_green_lock_needs_no_patch(run_program: Callable[..., str]) -> None:
    run_program("""
import threading
from verdant import sleep, spawn
from verdant.green.threading import Lock
lock, total = Lock(), [0]
def add():
    for _ in range(500):
        with lock:
            total[0] += 1
natives = [threading.Thread(target=add) for _ in range(4)]
for thread in natives:
    thread.start()
def add_and_park():
    for _ in range(100):
        with lock:
            before = total[0]
            sleep(0)
            total[0] = before + 1
greens = [spawn(add_and_park) for _ in range(10)]
for thread in greens:
    thread.wait()
for thread in natives:
    thread.join()
assert total == [3000]
""")


def test_a_program_ends_while_its_workers_are_busy(run_patched: Callable[..., str]) -> None:
    out = run_patched("""
from verdant import run_in_worker
from verdant.patcher import original
native_sleep = original("time", "sleep")
for _ in range(5):
    thread = spawn(run_in_worker, native_sleep, 3600)
    sleep(0)
    thread.cancel()
    assert thread.join(60)
spawn(run_in_worker, native_sleep, 3600)
sleep(0)
print("ended")
""")
    assert out == "ended\n"


def test_an_idle_program_takes_no_processor_time(run_patched: Callable[..., str]) -> None:
    run_patched("""
import queue, select, socket, subprocess, threading, time
left, right = socket.socketpair()
child = subprocess.Popen(["cat"], stdin=subprocess.PIPE)
event, items = threading.Event(), queue.Queue()
waits = [event.wait, items.get, right.recv, child.wait, lambda: select.select([left], [], [], 3600)]
for wait in waits:
    threading.Thread(target=wait, args=(1,) if wait == right.recv else (), daemon=True).start()
sleeping = [spawn(time.sleep, 3600) for _ in range(100)]
time.sleep(0.1)
before = time.process_time()
time.sleep(1)
assert time.process_time() - before < 0.01
child.stdin.close()
event.set()
items.put(1)
left.send(b"x")
child.wait()
""")
