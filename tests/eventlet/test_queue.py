from __future__ import annotations

import queue as stdlib
from typing import Any

import pytest

from verdant import eventlet
from verdant.eventlet.queue import Empty, Full, LifoQueue, LightQueue, PriorityQueue, Queue

SHORT = 0.01
KINDS = [LightQueue, Queue, LifoQueue, PriorityQueue]


@pytest.mark.parametrize("kind", KINDS)
def test_put_and_get(kind: type[LightQueue]) -> None:
    q = kind()
    for item in (2, 1, 3):
        q.put(item)
    assert q.qsize() == 3
    orders: dict[type[LightQueue], list[int]] = {LifoQueue: [3, 1, 2], PriorityQueue: [1, 2, 3]}
    expected = orders.get(kind, [2, 1, 3])
    assert [q.get() for _ in range(3)] == expected
    assert q.empty()


def test_the_exceptions_are_the_stdlibs() -> None:
    assert Full is stdlib.Full
    assert Empty is stdlib.Empty
    q = Queue(1)
    with pytest.raises(Empty):
        q.get_nowait()
    with pytest.raises(Empty):
        q.get(timeout=SHORT)
    q.put(1)
    assert q.full()
    with pytest.raises(Full):
        q.put_nowait(2)
    with pytest.raises(Full):
        q.put(2, timeout=SHORT)
    assert q.get(block=False) == 1


@pytest.mark.parametrize("bound", [None, -1])
def test_without_a_bound(bound: int | None) -> None:
    q = Queue(bound)
    for number in range(1000):
        q.put_nowait(number)
    assert not q.full()
    assert q.maxsize is None


def test_a_full_queue_holds_its_putters() -> None:
    q = Queue(1)
    q.put("a")
    putter = eventlet.spawn(q.put, "b")
    eventlet.sleep(0)
    assert (q.putting(), q.qsize()) == (1, 1)
    assert q.get() == "a"
    putter.wait()
    assert q.putting() == 0
    assert q.get() == "b"


def test_getters_wait() -> None:
    q = Queue()
    getters = [eventlet.spawn(q.get) for _ in range(2)]
    eventlet.sleep(0)
    assert q.getting() == 2
    q.put("x")
    q.put("y")
    assert {getter.wait() for getter in getters} == {"x", "y"}
    assert q.getting() == 0


@pytest.mark.parametrize("kind", KINDS)
def test_size_zero_is_a_channel(kind: type[LightQueue]) -> None:
    q = kind(0)
    assert q.empty()
    assert q.full()
    with pytest.raises(Full):
        q.put_nowait(1)
    with pytest.raises(Full):
        q.put(1, timeout=SHORT)
    putter = eventlet.spawn(q.put, "item")
    eventlet.sleep(0)
    assert not putter.dead
    assert q.get() == "item"
    putter.wait()
    getter = eventlet.spawn(q.get)
    eventlet.sleep(0)
    q.put("direct")
    assert getter.wait() == "direct"
    assert q.qsize() == 0


def test_a_channel_gives_to_a_waiting_getter_without_blocking() -> None:
    q = Queue(0)
    getter = eventlet.spawn(q.get)
    eventlet.sleep(0)
    q.put("now", block=False)
    assert getter.wait() == "now"


@pytest.mark.differs("in Eventlet a get that may not wait looks past a putter that waits")
def test_a_channel_takes_from_a_waiting_putter_without_blocking() -> None:
    q = Queue(0)
    putter = eventlet.spawn(q.put, "now")
    eventlet.sleep(0)
    assert q.get_nowait() == "now"
    putter.wait()


def test_resize() -> None:
    q = Queue(1)
    q.put(1)
    putters = [eventlet.spawn(q.put, number) for number in (2, 3)]
    eventlet.sleep(0)
    q.resize(3)
    for putter in putters:
        putter.wait()
    assert q.qsize() == 3
    assert q.maxsize == 3
    q.resize(None)
    q.put(4)
    q.resize(2)
    assert q.full()
    assert [q.get() for _ in range(4)] in ([1, 2, 3, 4], [1, 3, 2, 4])


def test_join_and_task_done() -> None:
    q = Queue()
    done: list[int] = []

    def worker() -> None:
        while True:
            item = q.get()
            eventlet.sleep(0)
            done.append(item)
            q.task_done()

    thread = eventlet.spawn(worker)
    for number in range(3):
        q.put(number)
    assert q.unfinished_tasks == 3
    q.join()
    assert done == [0, 1, 2]
    with pytest.raises(ValueError, match=r"task_done\(\)"):
        q.task_done()
    thread.kill()
    q.join()


def test_light_queue_does_not_count() -> None:
    assert not hasattr(LightQueue(), "task_done")
    assert issubclass(Queue, LightQueue)
    assert issubclass(PriorityQueue, Queue)


def test_an_interrupted_get_loses_nothing() -> None:
    q = Queue()
    getter = eventlet.spawn(q.get)
    eventlet.sleep(0)
    getter.kill()
    q.put("kept")
    assert q.get() == "kept"
    full = Queue(1)
    full.put("first")
    putter = eventlet.spawn(full.put, "never")
    eventlet.sleep(0)
    putter.kill()
    assert full.get() == "first"
    eventlet.sleep(0)
    assert full.empty()


def test_a_timeout_around_a_get() -> None:
    q = Queue()
    with pytest.raises(eventlet.Timeout), eventlet.Timeout(SHORT):
        q.get()
    q.put(1)
    assert q.get() == 1


@pytest.mark.differs("those who wait are served in the order in which they came")
def test_order_of_waiters() -> None:
    q = Queue()
    got: list[Any] = []
    for name in "abcdefgh":
        eventlet.spawn(lambda name=name: got.append((name, q.get())))
    eventlet.sleep(0)
    for number in range(8):
        q.put(number)
    eventlet.sleep(0)
    assert got == list(zip("abcdefgh", range(8), strict=True))
