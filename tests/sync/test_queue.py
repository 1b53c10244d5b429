"""Queues against a model: nothing lost, nothing doubled, order kept, whoever leaves."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from verdant import (
    GreenThread,
    LifoQueue,
    LightQueue,
    PriorityQueue,
    Queue,
    Timeout,
    sleep,
    spawn,
)
from verdant.errors import WouldBlock

if TYPE_CHECKING:
    from hypothesis.strategies import DataObject


def turns() -> None:
    """Let everybody who can go on do so."""
    for _ in range(4):
        sleep(0)


class LightQueueModel(RuleBasedStateMachine):
    """A queue beside lists that say who waits for what, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.number = 0
        self.items: deque[int] = deque()
        # Who waits to put, and who waits to get, the longest waiting first.
        self.putters: list[tuple[GreenThread[None], int]] = []
        self.getters: list[GreenThread[int]] = []
        self.taken: list[tuple[GreenThread[int], int]] = []

    @initialize(maxsize=st.integers(0, 3))
    def make(self, maxsize: int) -> None:
        self.maxsize = maxsize
        self.queue: LightQueue[int] = LightQueue(maxsize)

    def full(self) -> bool:
        return 0 < self.maxsize <= len(self.items)

    @rule()
    def put(self) -> None:
        self.number += 1
        thread = spawn(self.queue.put, self.number)
        turns()
        if self.getters:
            self.taken.append((self.getters.pop(0), self.number))
        elif self.full():
            self.putters.append((thread, self.number))
            return
        else:
            self.items.append(self.number)
        thread.wait()

    @rule()
    def get(self) -> None:
        thread = spawn(self.queue.get)
        turns()
        if not self.items:
            self.getters.append(thread)
            return
        self.taken.append((thread, self.items.popleft()))
        if self.putters:
            putter, item = self.putters.pop(0)
            self.items.append(item)
            putter.wait()

    @rule()
    def put_nowait(self) -> None:
        self.number += 1
        if self.full():
            with pytest.raises(WouldBlock):
                self.queue.put_nowait(self.number)
            return
        self.queue.put_nowait(self.number)
        if self.getters:
            self.taken.append((self.getters.pop(0), self.number))
        else:
            self.items.append(self.number)

    @precondition(lambda self: self.getters)
    @rule(data=st.data())
    def cancel_getter(self, data: DataObject) -> None:
        thread = self.getters.pop(data.draw(st.integers(0, len(self.getters) - 1)))
        thread.cancel()
        assert thread.join(10)

    @precondition(lambda self: self.putters)
    @rule(data=st.data())
    def cancel_putter(self, data: DataObject) -> None:
        thread, _ = self.putters.pop(data.draw(st.integers(0, len(self.putters) - 1)))
        thread.cancel()
        assert thread.join(10)

    @precondition(lambda self: self.getters)
    @rule()
    def put_and_cancel_its_getter(self) -> None:
        # It has been handed the item before the cancel comes, so the item is its own.
        self.number += 1
        getter = self.getters.pop(0)
        self.queue.put(self.number)
        getter.cancel()
        self.taken.append((getter, self.number))

    @precondition(lambda self: not self.getters)
    @rule()
    def put_briefly(self) -> None:
        self.number += 1
        with Timeout(0, False) as bound:
            self.queue.put(self.number)
        assert bound.expired is self.full()
        if not bound.expired:
            self.items.append(self.number)

    @precondition(lambda self: not self.items)
    @rule()
    def get_briefly(self) -> None:
        with pytest.raises(TimeoutError):
            self.queue.get(0)

    @invariant()
    def agrees(self) -> None:
        if not hasattr(self, "queue"):
            return
        assert self.queue.qsize() == len(self.queue) == len(self.items)
        assert self.queue.empty() is not bool(self.items)
        assert self.queue.full() is self.full()
        assert self.queue.getting() == len(self.getters)
        assert self.queue.putting() == len(self.putters)
        for thread, item in self.taken:
            assert thread.wait() == item
        self.taken.clear()
        assert not any(thread.done for thread in self.getters)
        assert not any(thread.done for thread, _ in self.putters)

    def teardown(self) -> None:
        for thread in [*self.getters, *(thread for thread, _ in self.putters)]:
            thread.cancel()
            thread.join()


TestLightQueue = LightQueueModel.TestCase


STEP = st.sampled_from(["put", "put briefly", "get", "get briefly", "cancel", "turn"])


@given(
    st.sampled_from([Queue, LifoQueue, PriorityQueue, LightQueue]),
    st.lists(STEP, max_size=60),
    st.integers(0, 3),
    st.data(),
)
def test_nothing_is_lost_or_doubled_under_cancels_and_bounds(
    kind: type[LightQueue[int]], steps: list[str], maxsize: int, data: st.DataObject
) -> None:
    queue = kind(maxsize)
    put: list[int] = []
    got: list[int] = []
    threads: list[GreenThread[None]] = []

    def putter(item: int, bound: float | None) -> None:
        with Timeout(bound, False):
            queue.put(item)
            put.append(item)

    def getter(bound: float | None) -> None:
        with Timeout(bound, False):
            got.append(queue.get())

    for number, step in enumerate(steps):
        bound = 0.0003 if "briefly" in step else None
        if step.startswith("put"):
            threads.append(spawn(putter, number, bound))
        elif step.startswith("get"):
            threads.append(spawn(getter, bound))
        elif step == "cancel" and threads:
            threads.pop(data.draw(st.integers(0, len(threads) - 1))).cancel()
        else:
            sleep(0)
    for thread in threads:
        thread.cancel()
        thread.join()
    sleep(0)
    while queue.qsize():
        got.append(queue.get_nowait())
    assert sorted(got) == sorted(put)
    assert (queue.getting(), queue.putting()) == (0, 0)
    if kind in (Queue, LightQueue):
        # Puts that waited may be noted later than they were made, so compare what was handed out.
        assert len(set(got)) == len(got)


def test_an_item_that_cannot_be_ordered_is_its_putter_s_fault() -> None:
    queue: PriorityQueue[object] = PriorityQueue(2)
    queue.put(1)
    queue.put(2)
    putter = spawn(queue.put, "not a number")
    sleep(0)
    assert queue.get() == 1
    with pytest.raises(TypeError):
        putter.wait()
    with pytest.raises(TypeError):
        queue.put_nowait(None)
    assert queue.get() == 2
    assert queue.empty()


def test_a_queue_made_larger_takes_what_waits() -> None:
    queue: Queue[int] = Queue(1)
    threads = [spawn(queue.put, number) for number in range(5)]
    sleep(0)
    assert queue.putting() == 4
    queue.resize(3)
    sleep(0)
    assert [thread.done for thread in threads] == [True, True, True, False, False]
    queue.resize(1)
    assert [queue.get() for _ in range(2)] == [0, 1]
    assert queue.putting() == 2
    queue.resize(0)
    assert [queue.get() for _ in range(3)] == [2, 3, 4]
    for thread in threads:
        thread.wait()


def test_an_empty_queue_is_true() -> None:
    queue: LightQueue[int] = LightQueue()
    assert queue
    assert len(queue) == 0
