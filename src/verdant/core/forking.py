"""Forking: what becomes of the runtime in the child of `os.fork()`.

Place     core, above hub and workers; the interpreter calls it, nobody else need.
Promise   the child has a hub, a poller and workers of its own and shares no kernel object with its
          parent but what the program itself holds. Of the parent's green threads, only the one that
          forked goes on; sockets that it holds go on working.
Not here  children that exec (green/subprocess.py); locks: one that another thread held stays held,
          as in the stdlib.

    parent   main ── hub ── A   B   C           child of B   B ── new hub
                                                             (main, A and C: kept, never run)

Why a new hub rather than the old one, emptied: a green thread belongs to its hub, so a wake-up that
is meant for A finds the old hub, which is closed, and goes nowhere. What the parked threads hold is
kept alive on purpose: a greenlet that is freed runs its `finally` clauses, and those would say
goodbye over connections that the parent still uses.

A child forked by B ends when B does, as a process ends whose only native thread returns.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, cast

from greenlet import getcurrent, greenlet

from verdant.core.bystanders import bystanders
from verdant.core.current import hubs, slot
from verdant.core.greenthread import GreenThread
from verdant.core.hub import Hub
from verdant.core.workers import renew_workers

if TYPE_CHECKING:
    from verdant.core.parking import Parkable
    from verdant.core.timers import Timer

__all__ = ["renew_in_child"]

# What only the parent's green threads hold; see above.
_kept: list[object] = []


def renew_in_child() -> None:
    """Give a forked child a runtime of its own. Called by `os.fork`; does not park.

    Call it yourself only after a fork that Python does not know of.
    """
    old: Hub | None = getattr(slot, "hub", None)
    renew_workers()
    bystanders.watchers = 0
    for hub in list(hubs):
        # Other native threads' too. Those do not exist here; only their descriptors do.
        if hub.ready:
            _kept.append(list(hub.ready))
        hub.close()
    if old is None:
        return
    _kept.append((old, slot.guard))
    forker = getcurrent()
    if forker is old.greenlet:
        # A callback of the hub forked. It has no thread to go on in: what it does now is all.
        old.run_soon(os._exit, 0)
        return
    thread = _green_thread(forker, old)
    if thread is None:
        hub = slot.hub = Hub()
    else:
        hub = slot.hub = Hub(main=cast("Parkable", thread))
        thread.hub = hub
        thread.parent = hub.greenlet
        thread.at_end(_end_process)
        hub.alive = 1
    slot.guard = None
    # Once more, in its first turn: from 3.12 on asyncio's own hook, if it comes after this one,
    # takes the signals' wake-up away from whoever has it.
    hub.run_soon(hub.wakeup.hear_signals)
    _take_over(hub, old)


def _green_thread(forker: greenlet, hub: Hub) -> GreenThread[object] | None:
    # Also from a greenlet that the green thread made for itself.
    current: greenlet | None = forker
    while current is not None and current is not cast("object", hub.main):
        if isinstance(current, GreenThread):
            return current
        current = current.parent
    return None


def _take_over(hub: Hub, old: Hub) -> None:
    me = hub.main

    def is_mine(timer: Timer) -> bool:
        # A Timeout around the fork goes on in both processes.
        owner = getattr(timer.callback, "__self__", None)
        return me in timer.args or getattr(owner, "_thread", None) is me

    hub.timers.adopt(old.timers, is_mine)
    for fd, watch in list(old.watches.items()):
        _kept.append((watch.reader, watch.writer, watch.more_readers, watch.more_writers))
        watch.reader = watch.writer = None
        watch.more_readers = watch.more_writers = None
        try:
            hub.poller.register(fd, watch.read_only)
        except OSError:
            # Closed behind our back, in the parent already.
            watch.closed = True
            continue
        watch.hub = hub
        watch.born = hub.turns
        hub.watches[fd] = watch
    old.watches = {}


def _end_process(thread: GreenThread[object]) -> None:
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (AttributeError, OSError, ValueError):
            # None, closed, or broken: nothing more can be said there.
            continue
    exc = thread.exception
    code = exc.code if isinstance(exc, SystemExit) else int(exc is not None)
    if isinstance(code, str):
        os.write(2, f"{code}\n".encode(errors="backslashreplace"))
        code = 1
    os._exit(code or 0)


os.register_at_fork(after_in_child=renew_in_child)
