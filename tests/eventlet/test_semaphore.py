from __future__ import annotations

import pytest

from verdant import eventlet
from verdant.eventlet.lock import Lock
from verdant.eventlet.semaphore import BoundedSemaphore, CappedSemaphore, Semaphore


def test_counting() -> None:
    sem = Semaphore(2)
    assert (sem.counter, sem.balance, sem.locked(), sem.bounded()) == (2, 2, False, False)
    assert sem.acquire() is True
    with sem:
        assert sem.locked()
        assert sem.acquire(blocking=False) is False
    assert sem.release() is True
    assert sem.counter == 2


def test_bad_values() -> None:
    with pytest.raises(ValueError, match="0"):
        Semaphore(-1)
    with pytest.raises(TypeError):
        Semaphore("many")  # type: ignore[arg-type]
    sem = Semaphore(0)
    with pytest.raises(ValueError, match="positive"):
        sem.acquire(timeout=-2)
    with pytest.raises(ValueError, match="non-blocking"):
        sem.acquire(blocking=False, timeout=1)


def test_waiting_and_its_balance() -> None:
    sem = Semaphore(0)
    threads = [eventlet.spawn(sem.acquire) for _ in range(2)]
    eventlet.sleep(0)
    assert sem.balance == -2
    sem.release()
    sem.release()
    assert [thread.wait() for thread in threads] == [True, True]
    assert sem.balance == 0


def test_a_wait_may_have_a_bound() -> None:
    sem = Semaphore(0)
    assert sem.acquire(timeout=0.01) is False
    eventlet.spawn_after(0.01, sem.release)
    assert sem.acquire(timeout=-1) is True


def test_a_killed_waiter_takes_nothing() -> None:
    sem = Semaphore(0)
    thread = eventlet.spawn(sem.acquire)
    eventlet.sleep(0)
    thread.kill()
    sem.release()
    eventlet.sleep(0)
    assert sem.counter == 1


@pytest.mark.differs("a permit goes to the first in line, never to a passer-by")
def test_a_permit_is_handed_over() -> None:
    sem = Semaphore(0)
    thread = eventlet.spawn(sem.acquire)
    eventlet.sleep(0)
    sem.release()
    assert sem.acquire(blocking=False) is False
    assert sem.counter == 0
    assert thread.wait() is True


def test_bounded() -> None:
    sem = BoundedSemaphore(1)
    with pytest.raises(ValueError, match="too many"):
        sem.release()
    sem.acquire()
    sem.release()


def test_capped() -> None:
    with pytest.raises(ValueError, match="positive"):
        CappedSemaphore(-1, 2)
    with pytest.raises(ValueError, match="limit"):
        CappedSemaphore(3, 2)
    sem = CappedSemaphore(1, 2)
    assert not sem.locked()
    assert not sem.bounded()
    with sem:
        assert sem.locked()
        assert sem.acquire(blocking=False) is False
    assert sem.balance == 0
    assert sem.release() is True
    assert sem.bounded()
    assert sem.release(blocking=False) is False
    releaser = eventlet.spawn(sem.release)
    eventlet.sleep(0)
    assert not releaser.dead
    assert sem.acquire() is True
    assert releaser.wait() is True
    acquirers = [eventlet.spawn(sem.acquire) for _ in range(3)]
    eventlet.sleep(0)
    assert [thread.dead for thread in acquirers] == [True, True, False]
    sem.release()
    assert acquirers[2].wait() is True


def test_lock() -> None:
    lock = Lock()
    with pytest.raises(RuntimeError, match="unlocked"):
        lock.release()
    with lock:
        assert lock.locked()
        assert not lock.acquire(blocking=False)
    assert not lock.locked()
