"""Workers: bounded native threads, waits that can be left, proxies."""

from __future__ import annotations

import sqlite3
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from verdant import Event, Timeout, WorkerProxy, Workers, run_in_worker, sleep, spawn

if TYPE_CHECKING:
    from pathlib import Path


def test_never_more_threads_than_allowed() -> None:
    workers = Workers(2)
    lock = threading.Lock()
    most = running = 0
    gate = threading.Event()

    def job() -> None:
        nonlocal most, running
        with lock:
            running += 1
            most = max(most, running)
        gate.wait(30)
        with lock:
            running -= 1

    threads = [spawn(workers.run, job) for _ in range(5)]
    with Timeout(30):
        while running < 2:
            sleep(0.001)
    moment = workers.statistics()
    assert (moment.threads, moment.running, moment.waiting) == (2, 2, 3)
    gate.set()
    for thread in threads:
        thread.wait()
    assert most == 2
    moment = workers.statistics()
    assert (moment.threads, moment.running, moment.waiting) == (2, 0, 0)
    workers.close()
    assert workers.run(lambda: 5) == 5
    workers.close()
    with pytest.raises(ValueError, match="threads_max"):
        Workers(0)


def test_an_idle_thread_is_used_again() -> None:
    workers = Workers(8)
    for number in range(20):
        assert workers.run(lambda n=number: n) == number
    assert workers.statistics().threads < 8
    workers.close()


def test_threads_end_when_their_workers_are_closed() -> None:
    workers = Workers(3)
    natives: list[threading.Thread] = []
    for _ in range(5):
        for thread in [
            spawn(workers.run, lambda: natives.append(threading.current_thread())) for _ in range(3)
        ]:
            thread.wait()
        workers.close()
    alive = set(sys._current_frames()) & {native.ident for native in natives}
    with Timeout(30):
        while alive:
            sleep(0.001)
            alive &= set(sys._current_frames())


def test_a_call_that_has_not_begun_when_its_caller_leaves_never_does() -> None:
    workers = Workers(1)
    gate = threading.Event()
    began: list[str] = []
    first = spawn(workers.run, gate.wait)
    sleep(0)
    second = spawn(workers.run, began.append, "never")
    third = spawn(workers.run, began.append, "third")
    sleep(0)
    second.cancel()
    assert second.join(10)
    gate.set()
    first.wait()
    third.wait()
    assert began == ["third"]
    workers.close()


def test_the_result_of_a_call_that_was_left_reaches_nobody() -> None:
    begun = threading.Event()
    gate = threading.Event()
    ended = threading.Event()

    def job() -> str:
        begun.set()
        gate.wait(30)
        ended.set()
        return "late"

    # One that is left before it has begun never begins.
    caller = spawn(run_in_worker, job)
    with Timeout(30):
        while not begun.is_set():
            sleep(0.001)
    caller.cancel()
    assert caller.join(10)
    gate.set()
    assert ended.wait(30)
    # Whatever we wait for next is not ended by it.
    assert not Event().wait(0.02)


def test_exceptions_come_with_their_frames_and_leave_no_cycle() -> None:
    def job() -> None:
        raise KeyError("in the worker")

    with pytest.raises(KeyError) as caught:
        run_in_worker(job)
    assert caught.traceback[-1].name == "job"


class Slow:
    """Something whose calls would block, and that notes where they ran."""

    kind = "slow"

    def __init__(self) -> None:
        self.threads: list[int] = []
        self.items = {"a": 1}

    def _note(self) -> None:
        self.threads.append(threading.get_ident())

    def work(self, number: int, *, plus: int = 0) -> int:
        """Compute."""
        self._note()
        return number + plus

    def fluent(self) -> Slow:
        """Return itself."""
        self._note()
        return self

    def child(self) -> Slow:
        """Return another."""
        return Slow()

    def fail(self) -> None:
        """Raise."""
        raise OSError("slow")

    def __getitem__(self, key: str) -> int:
        self._note()
        return self.items[key]

    def __setitem__(self, key: str, value: int) -> None:
        self._note()
        self.items[key] = value

    def __contains__(self, key: str) -> bool:
        self._note()
        return key in self.items

    def __len__(self) -> int:
        return len(self.items)

    def __call__(self) -> str:
        self._note()
        return "called"


def test_a_proxy_s_calls_run_in_workers() -> None:
    slow = Slow()
    proxy = WorkerProxy(slow, wrap=(Slow,))
    assert proxy.kind == "slow"
    assert proxy.work(1, plus=2) == 3
    assert proxy["a"] == 1
    proxy["b"] = 2
    assert "b" in proxy
    assert proxy() == "called"
    assert len(proxy) == 2
    assert proxy.fluent() is proxy
    assert isinstance(proxy.child(), WorkerProxy)
    assert len(slow.threads) == 6
    assert threading.get_ident() not in slow.threads
    proxy.kind = "changed"
    assert slow.kind == "changed"
    del proxy.kind
    assert proxy.kind == "slow"
    with pytest.raises(KeyError):
        proxy["none"]
    with pytest.raises(OSError, match="slow"):
        proxy.fail()
    with pytest.raises(AttributeError):
        proxy.nothing  # noqa: B018 - that it raises
    assert proxy == slow
    assert proxy == WorkerProxy(slow)
    assert hash(proxy) == hash(slow)
    assert "work" in dir(proxy)


def test_others_run_while_a_proxy_s_call_blocks() -> None:
    gate = threading.Event()
    proxy = WorkerProxy(gate)
    turns = 0

    def others() -> None:
        nonlocal turns
        for _ in range(10):
            turns += 1
            sleep(0)
        gate.set()

    spawn(others)
    assert proxy.wait(30)
    assert turns == 10


def test_a_database_driver_behind_a_proxy(tmp_path: Path) -> None:
    workers = Workers(1)

    def connect() -> sqlite3.Connection:
        return sqlite3.connect(tmp_path / "file.db")

    # SQLite insists on one native thread per connection: workers of one thread are that.
    connection = WorkerProxy(workers.run(connect), wrap=(sqlite3.Cursor,), workers=workers)
    with connection:
        connection.execute("create table numbers (n integer)")
        connection.executemany("insert into numbers values (?)", [(n,) for n in range(5)])
    rows = connection.execute("select n from numbers order by n")
    assert isinstance(rows, WorkerProxy)
    assert [n for (n,) in rows] == list(range(5))
    assert connection.execute("select count(*) from numbers").fetchone() == (5,)
    with pytest.raises(sqlite3.OperationalError):
        connection.execute("select nothing")
    connection.close()
    workers.close()


def test_a_proxy_iterates_and_ends() -> None:
    proxy = WorkerProxy([1, 2, 3])
    assert list(proxy) == [1, 2, 3]
    assert bool(WorkerProxy([])) is False
    del proxy[0]
    assert list(proxy) == [2, 3]
