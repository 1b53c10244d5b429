"""multiprocessing, os.fork and concurrent.futures under the patch.

A program is a file here: a child that is spawned imports its parent's main module, and so patches
for itself. In every program some green thread waits for a child while others have their turns.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

METHODS = ("fork", "spawn", "forkserver")

PROLOGUE = """
import multiprocessing, os, sys, threading
method = sys.argv[1]
context = multiprocessing.get_context(method)
"""


@pytest.fixture(params=METHODS)
def run_method(
    request: pytest.FixtureRequest, run_patched_file: Callable[..., str]
) -> Callable[[str], str]:
    """Run a program by each start method; `method` and `context` are its names for it."""
    return lambda text: run_patched_file(PROLOGUE + text, request.param)


def test_a_child_answers_over_a_pipe(run_method: Callable[[str], str]) -> None:
    run_method("""
def child(pipe):
    # Green threads in the child, too.
    assert spawn(lambda: sleep(0) or 42).wait() == 42
    while (text := pipe.recv()) is not None:
        pipe.send(text.upper())

def main():
    here, there = context.Pipe()
    process = context.Process(target=child, args=(there,))
    process.start()
    there.close()
    assert beside(here.recv, lambda: here.send("text")) == "TEXT"
    assert not here.poll(0)
    here.send("x" * 1_000_000)
    assert here.poll(60)
    assert here.recv() == "X" * 1_000_000
    beside(process.join, lambda: here.send(None))
    assert process.exitcode == 0
    here.close()
""")


def test_queues_both_ways(run_method: Callable[[str], str]) -> None:
    run_method("""
def child(jobs, results):
    for job in iter(jobs.get, None):
        results.put((job, job * job))

def main():
    jobs, results = context.Queue(), context.Queue()
    children = [context.Process(target=child, args=(jobs, results)) for _ in range(3)]
    for process in children:
        process.start()
    # Several green threads wait at one end, behind a lock that lies in shared memory.
    waiting = [spawn(results.get) for _ in range(30)]
    sleep(0)
    for n in range(30):
        jobs.put(n)
    assert sorted(w.wait() for w in waiting) == [(n, n * n) for n in range(30)]
    for _ in children:
        jobs.put(None)
    for process in children:
        process.join()
        assert process.exitcode == 0
    for queue in (jobs, results):
        queue.close()
        queue.join_thread()
""")


def test_locks_in_shared_memory(run_method: Callable[[str], str]) -> None:
    run_method("""
def child(lock, reentrant, event, condition, total, ready):
    with lock:
        ready.release()
        event.wait()
    for _ in range(100):
        with total.get_lock():
            total.value += 1
    with condition:
        condition.notify_all()

def main():
    lock, reentrant, event = context.Lock(), context.RLock(), context.Event()
    condition, ready, total = context.Condition(), context.Semaphore(0), context.Value("i")
    arguments = (lock, reentrant, event, condition, total, ready)
    process = context.Process(target=child, args=arguments)
    process.start()
    ready.acquire()
    assert not lock.acquire(timeout=0.01)
    assert not lock.acquire(block=False)
    # The child holds it until the event is set.
    assert beside(lock.acquire, event.set)
    try:
        with Timeout(0.01):
            lock.acquire()
    except Timeout:
        pass
    else:
        raise AssertionError("we hold it")
    lock.release()
    with reentrant, reentrant:
        # A green thread is a thread of its own to it.
        other = spawn(reentrant.acquire, False)
        assert not other.wait()
        try:
            spawn(reentrant.release).wait()
        except AssertionError:
            pass
        else:
            raise ValueError("it was not the owner")
    for _ in range(100):
        with total.get_lock():
            total.value += 1
    process.join()
    assert process.exitcode == 0
    assert total.value == 200
    with condition:
        def notify():
            with condition:
                condition.notify()
        assert beside(condition.wait, notify)
    # What gave up waiting has left nothing taken.
    assert lock.acquire(timeout=60)
    lock.release()
    try:
        lock.release()
    except ValueError:
        pass
    else:
        raise AssertionError("released too often")
""")


def test_pool(run_method: Callable[[str], str]) -> None:
    run_method("""
def square(n):
    return n * n

def fail(n):
    raise KeyError(n)

def initialise(value):
    os.environ["INITIALISED"] = value

def read_environment(name):
    return os.environ[name]

def main():
    with context.Pool(2, initialise, ("yes",)) as pool:
        mapping = spawn(pool.map, square, range(50))
        turns = iter(range(10))
        for _ in turns:
            sleep(0)
        assert pool.apply(square, (12,)) == 144
        assert mapping.wait() == [n * n for n in range(50)]
        assert list(pool.imap(square, range(20), chunksize=3)) == [n * n for n in range(20)]
        assert sorted(pool.imap_unordered(square, range(20))) == [n * n for n in range(20)]
        assert pool.apply(read_environment, ("INITIALISED",)) == "yes"
        try:
            pool.apply(fail, ("key",))
        except KeyError as exc:
            assert exc.args == ("key",)
        else:
            raise AssertionError("it did not fail")
        several = [spawn(pool.apply, square, (n,)) for n in range(20)]
        assert [s.wait() for s in several] == [n * n for n in range(20)]
        pool.close()
        pool.join()
""")


def test_process_pool_executor(run_method: Callable[[str], str]) -> None:
    run_method("""
from concurrent.futures import ProcessPoolExecutor, as_completed

def cube(n):
    return n ** 3

def die(n):
    os._exit(1)

def main():
    with ProcessPoolExecutor(2, mp_context=context) as pool:
        futures = [pool.submit(cube, n) for n in range(20)]
        assert sorted(f.result() for f in as_completed(futures)) == [n ** 3 for n in range(20)]
        several = [spawn(lambda n: list(pool.map(cube, range(n))), n) for n in range(5)]
        assert [s.wait() for s in several] == [[i ** 3 for i in range(n)] for n in range(5)]
    from concurrent.futures.process import BrokenProcessPool
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        try:
            pool.submit(die, 0).result()
        except BrokenProcessPool:
            pass
        else:
            raise AssertionError("its process has died")
""")


def test_a_manager(run_method: Callable[[str], str]) -> None:
    run_method("""
def child(shared, queue):
    shared["child"] = os.getpid()
    queue.put("done")

def main():
    with context.Manager() as manager:
        shared, queue = manager.dict(), manager.Queue()
        process = context.Process(target=child, args=(shared, queue))
        assert beside(queue.get, process.start) == "done"
        process.join()
        assert shared["child"] == process.pid
""")


def test_fork_from_main_and_from_a_green_thread(run_patched: Callable[..., str]) -> None:
    run_patched("""
import os, socket, threading

def in_child(work):
    reader, writer = os.pipe()
    pid = os.fork()
    if pid:
        os.close(writer)
        said = bytearray()
        while data := os.read(reader, 100):
            said += data
        os.close(reader)
        return os.waitpid(pid, 0)[1], bytes(said)
    status = 1
    try:
        os.close(reader)
        os.write(writer, work())
        status = 0
    finally:
        os._exit(status)

def work():
    # A hub of its own: timers, descriptors, workers and green threads.
    from verdant import run_in_worker
    left, right = socket.socketpair()
    with left, right:
        assert beside(lambda: right.recv(1), lambda: left.send(b"x")) == b"x"
    sleep(0.001)
    assert run_in_worker(os.getpid) == os.getpid()
    assert threading.active_count() == 1, threading.enumerate()
    ended = []
    thread = threading.Thread(target=lambda: ended.append(1))
    thread.start()
    thread.join()
    return b"fine" if ended == [1] else b"bad"

left, right = socket.socketpair()
parked = spawn(right.recv, 1)
thread = threading.Thread(target=threading.Event().wait, daemon=True)
thread.start()
sleep(0)
assert in_child(work) == (0, b"fine")
assert spawn(in_child, work).wait() == (0, b"fine")
several = [spawn(in_child, work) for _ in range(5)]
assert [s.wait() for s in several] == [(0, b"fine")] * 5
# The parent's own are as they were.
left.send(b"y")
assert parked.wait() == b"y"
assert threading.active_count() == 2
left.close()
right.close()
""")


def test_thread_pool_executor(run_patched: Callable[..., str]) -> None:
    run_patched("""
import threading
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, as_completed, wait
gate = threading.Event()
both = threading.Barrier(2)
with ThreadPoolExecutor(3) as pool:
    held = pool.submit(gate.wait)
    # Both run at once, beside the one that is held.
    pair = [pool.submit(both.wait) for _ in range(2)]
    done, pending = wait([held, *pair], return_when=FIRST_COMPLETED)
    assert held in pending
    assert sorted(f.result() for f in as_completed(pair)) == [0, 1]
    try:
        held.result(timeout=0.01)
    except TimeoutError:
        pass
    else:
        raise AssertionError("it is held")
    assert beside(held.result, gate.set)
    assert list(pool.map(str, range(100))) == [str(n) for n in range(100)]
    failed = pool.submit(int, "no number")
    assert isinstance(failed.exception(), ValueError)
try:
    pool.submit(int)
except RuntimeError:
    pass
else:
    raise AssertionError("it was shut down")
""")
