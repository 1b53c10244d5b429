"""Timers: call back at a deadline; cancelling costs next to nothing.

Place     core; hub.py fires them, timeout.py sets them. Pure: `now` is an argument, greenlets are
          unknown here.
Promise   `due()` yields in deadline order, ties in order of adding; a cancelled timer never fires.
Not here  waiting (parking.py); wall-clock time (nowhere).

    add ──▶ heap ──▶ due(now) ──▶ hub
             └─ cancel marks; swept when more than half of the heap is dead

Why marks: nearly every timer is a timeout that is cancelled in time, and taking one out of the
middle of a heap costs O(n). The sweep keeps the dead from outnumbering the living.
"""

from __future__ import annotations

from heapq import heapify, heappop, heappush
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["Timer", "Timers"]

# Below this many entries a sweep costs more than the memory it frees.
SWEEP_ENTRIES_MIN = 64


class Timer:
    """One call at one deadline. Made by `Timers.add`; `cancel()` may be called at any time."""

    __slots__ = ("_timers", "args", "callback", "deadline")

    def __init__(
        self,
        timers: Timers,
        deadline: float,
        callback: Callable[..., object],
        args: tuple[object, ...],
    ) -> None:
        self._timers = timers
        self.deadline = deadline
        self.callback: Callable[..., object] | None = callback
        self.args = args

    @property
    def pending(self) -> bool:
        """True until the timer has fired or was cancelled."""
        return self.callback is not None

    def cancel(self) -> None:
        """Never fire. Does nothing when it has fired, or was cancelled, already."""
        if self.callback is not None:
            self.callback = None
            self.args = ()
            self._timers._one_died()  # noqa: SLF001 - two halves of one structure


class Timers:
    """The deadlines of one hub.

    `heap` is public because the hub looks at its head on every turn of the loop, and a method
    call there is measurable; only this file changes it.
    """

    __slots__ = ("_dead", "_order", "heap")

    def __init__(self) -> None:
        self.heap: list[tuple[float, int, Timer]] = []
        self._order = 0
        self._dead = 0

    def add(self, deadline: float, callback: Callable[..., object], *args: object) -> Timer:
        """Call `callback(*args)` once `now` reaches `deadline` (monotonic seconds)."""
        timer = Timer(self, deadline, callback, args)
        self._order += 1
        heappush(self.heap, (deadline, self._order, timer))
        return timer

    def next_deadline(self) -> float | None:
        """The deadline of the earliest living timer, or None when there is none."""
        heap = self.heap
        while heap:
            if heap[0][2].callback is not None:
                return heap[0][0]
            heappop(heap)
            self._dead -= 1
        return None

    def due(self, now: float) -> Iterator[tuple[Callable[..., object], tuple[object, ...]]]:
        """Take out, in order, every living timer whose deadline has come.

        A timer that a callback adds while this runs is yielded too if it is due by the same `now`.
        """
        heap = self.heap
        while heap and heap[0][0] <= now:
            timer = heappop(heap)[2]
            callback, args = timer.callback, timer.args
            if callback is None:
                self._dead -= 1
                continue
            timer.callback = None
            yield callback, args

    def adopt(self, others: Timers, wanted: Callable[[Timer], bool]) -> None:
        """Take over every living timer of `others` that is `wanted`; they keep their deadlines."""
        for deadline, _, timer in sorted(others.heap, key=lambda entry: entry[:2]):
            if timer.callback is not None and wanted(timer):
                timer._timers = self  # noqa: SLF001 - two halves of one structure
                self._order += 1
                heappush(self.heap, (deadline, self._order, timer))

    def __len__(self) -> int:
        return len(self.heap) - self._dead

    def _one_died(self) -> None:
        self._dead += 1
        if self._dead * 2 > len(self.heap) > SWEEP_ENTRIES_MIN:
            # In place: the hub holds the list.
            self.heap[:] = [entry for entry in self.heap if entry[2].callback is not None]
            heapify(self.heap)
            self._dead = 0
