"""One primitive on one green-thread runtime: prints what one operation costs.

    python green.py RUNTIME QUESTION      RUNTIME: verdant, gevent, eventlet

CPU microseconds per operation; for `parked`, bytes of resident memory per parked green thread.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

PAGE_BYTES = 4096


class Runtime(NamedTuple):
    """The same calls under each runtime's own names."""

    spawn: Callable[..., Any]
    sleep: Callable[[float], object]
    wait: Callable[[Any], object]
    event: Callable[[], Any]
    set_event: Callable[[Any], object]
    queue: Callable[[], Any]
    timeout: Callable[[float], Any]


def verdant() -> Runtime:
    import verdant as v

    return Runtime(v.spawn, v.sleep, lambda t: t.wait(), v.Event, lambda e: e.set(),
                   lambda: v.Queue(1), v.Timeout)  # fmt: skip


def gevent() -> Runtime:
    import gevent as g
    from gevent.event import Event
    from gevent.queue import Queue

    return Runtime(g.spawn, g.sleep, lambda t: t.get(), Event, lambda e: e.set(),
                   lambda: Queue(1), g.Timeout)  # fmt: skip


def eventlet() -> Runtime:
    import warnings

    warnings.simplefilter("ignore")
    import eventlet as e

    return Runtime(e.spawn, e.sleep, lambda t: t.wait(), e.Event, lambda event: event.send(),
                   lambda: e.Queue(1), e.Timeout)  # fmt: skip


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE_BYTES


def cpu_us(operations: int, call: Callable[[], object]) -> float:
    began = time.process_time()
    call()
    return (time.process_time() - began) / operations * 1e6


def switch(rt: Runtime, threads: int = 100, count: int = 3_000) -> float:
    def loop() -> None:
        for _ in range(count):
            rt.sleep(0)

    def run() -> None:
        for thread in [rt.spawn(loop) for _ in range(threads)]:
            rt.wait(thread)

    return cpu_us(threads * count, run)


def spawn(rt: Runtime, count: int = 100_000) -> float:
    def nothing() -> None:
        return

    def run() -> None:
        for _ in range(count // 100):
            for thread in [rt.spawn(nothing) for _ in range(100)]:
                rt.wait(thread)

    return cpu_us(count, run)


def parked(rt: Runtime, count: int = 20_000) -> float:
    event = rt.event()
    begun = []

    def park() -> None:
        begun.append(None)
        event.wait()

    before = resident_bytes()
    threads = [rt.spawn(park) for _ in range(count)]
    while len(begun) < count:
        rt.sleep(0.01)
    used = resident_bytes() - before
    rt.set_event(event)
    for thread in threads:
        rt.wait(thread)
    return used / count


def timers(rt: Runtime, count: int = 200_000) -> float:
    def run() -> None:
        for _ in range(count):
            with rt.timeout(60):
                pass

    return cpu_us(count, run)


def queue(rt: Runtime, count: int = 200_000) -> float:
    items = rt.queue()

    def produce() -> None:
        for number in range(count):
            items.put(number)

    def run() -> None:
        producer = rt.spawn(produce)
        for _ in range(count):
            items.get()
        rt.wait(producer)

    return cpu_us(count, run)


RUNTIMES = {"verdant": verdant, "gevent": gevent, "eventlet": eventlet}
QUESTIONS = {"yield": switch, "spawn": spawn, "parked": parked, "timers": timers, "queue": queue}

if __name__ == "__main__":
    runtime = RUNTIMES[sys.argv[1]]()
    print(QUESTIONS[sys.argv[2]](runtime))
