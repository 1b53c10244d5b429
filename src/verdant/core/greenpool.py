"""Green pool: at most so many green threads at once; green pile: their results, in order.

Place     core, on green threads and a wait queue.
Promise   never more than `size` run; `spawn` waits its turn fairly; results of `imap` come in the
          order of their arguments, and at most `size` of them are computed ahead.
Not here  threads that end together (group.py).
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Generic, Self, TypeVar, cast

from verdant.core.greenthread import GreenThread, spawn
from verdant.core.waitqueue import WaitQueue
from verdant.errors import Cancelled

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

__all__ = ["GreenPile", "GreenPool"]

# The bound when none is given: Eventlet's, so that moved programs behave as they did.
SIZE_DEFAULT = 1000

T = TypeVar("T")


class GreenPool:
    """A bound on concurrency, shared by everybody who spawns through it.

    `size`: how many green threads may run at once, at least 1. Raises ValueError below that.
    """

    def __init__(self, size: int = SIZE_DEFAULT) -> None:
        if size < 1:
            raise ValueError(f"a pool of {size} green threads could run nothing: size must be >= 1")
        self.size = size
        self._free = size
        self._turn = WaitQueue()
        self._idle = WaitQueue()
        self._threads: set[GreenThread[object]] = set()

    def running(self) -> int:
        """How many of its green threads run now."""
        return self.size - self._free

    def free(self) -> int:
        """How many more could start without waiting."""
        return max(0, self._free)

    def waiting(self) -> int:
        """How many callers of `spawn` wait for their turn."""
        return len(self._turn)

    def spawn(self, fn: Callable[..., T], *args: object, name: str | None = None) -> GreenThread[T]:
        """Run `fn(*args)` in the pool. Parks while the pool is full."""
        self._take()
        try:
            thread = spawn(fn, *args, name=name)
        except BaseException:
            self._give()
            raise
        self._threads.add(thread)
        thread.at_end(self._ended)
        return thread

    def spawn_n(self, fn: Callable[..., object], *args: object) -> None:
        """Like `spawn`, for when nobody wants the result. Parks while the pool is full."""
        self.spawn(fn, *args)

    def imap(self, fn: Callable[..., T], *iterables: Iterable[object]) -> Iterator[T]:
        """Yield `fn(*items)` for the items of the iterables, in order. Parks between results."""
        return self.starmap(fn, zip(*iterables, strict=False))

    def starmap(self, fn: Callable[..., T], rows: Iterable[Iterable[object]]) -> Iterator[T]:
        """Yield `fn(*row)` for each row, in order. Parks between results.

        What `fn` raises is raised here, in its place; threads still running are then cancelled.
        """
        ahead: deque[GreenThread[tuple[bool, object]]] = deque()
        try:
            for row in rows:
                ahead.append(self.spawn(_attempt, fn, tuple(row)))
                if len(ahead) >= self.size:
                    yield _outcome(ahead.popleft())  # type: ignore[misc] # holds what fn returned
            while ahead:
                yield _outcome(ahead.popleft())  # type: ignore[misc]
        finally:
            for thread in ahead:
                thread.cancel()

    def imap_unordered(self, fn: Callable[..., T], *iterables: Iterable[object]) -> Iterator[T]:
        """As `imap`, but yield each result as soon as it is there. Parks between results."""
        ended: deque[GreenThread[object]] = deque()
        news = WaitQueue()
        running: set[GreenThread[object]] = set()

        def note(thread: GreenThread[object]) -> None:
            ended.append(thread)
            news.wake_one()

        def next_result() -> T:
            while not ended:
                # Woken by note().
                news.wait()
            thread = ended.popleft()
            running.discard(thread)
            return cast("T", _outcome(cast("GreenThread[tuple[bool, object]]", thread)))

        try:
            for row in zip(*iterables, strict=False):
                while ended or len(running) >= self.size:
                    yield next_result()
                thread = self.spawn(_attempt, fn, row)
                running.add(thread)
                thread.at_end(note)
            while running:
                yield next_result()
        finally:
            for left in running:
                left.cancel()

    def resize(self, size: int) -> None:
        """Let `size` green threads run at once from now on. Does not park.

        Made smaller, it lets those that run beyond the new bound go on. Raises ValueError below 1.
        """
        if size < 1:
            raise ValueError(f"a pool of {size} green threads could run nothing: size must be >= 1")
        more, self.size = size - self.size, size
        self._free += more
        while self._free > 0 and self._turn.wake_one():
            self._free -= 1

    def waitall(self) -> None:
        """Wait until none of its green threads is left. Parks."""
        while self._free < self.size:
            self._idle.wait()

    def cancel(self) -> None:
        """Cancel every green thread of the pool. Does not park; `waitall()` sees them off."""
        for thread in list(self._threads):
            thread.cancel()

    def _ended(self, thread: GreenThread[object]) -> None:
        self._threads.discard(thread)
        self._give()

    def _take(self) -> None:
        if self._free > 0 and not self._turn:
            self._free -= 1
        else:
            # Woken by _give(), which passes its place on to us without counting it free.
            self._turn.wait()

    def _give(self) -> None:
        # Below zero after it was made smaller: then nobody's turn has come.
        if self._free >= 0 and self._turn.wake_one():
            return
        self._free += 1
        if self._free == self.size:
            self._idle.wake_all()


class GreenPile(Generic[T]):
    """Spawn, and iterate over the results in the order of spawning.

    `pool`: a `GreenPool` to share, or the size of one of its own. The pile itself is not bounded:
    it keeps every result until it is taken. Iteration ends when there is none left to wait for; a
    result that is an exception is raised in its place, and the next call goes on after it.
    """

    def __init__(self, pool: GreenPool | int = SIZE_DEFAULT) -> None:
        self.pool = GreenPool(pool) if isinstance(pool, int) else pool
        self._results: deque[GreenThread[tuple[bool, object]]] = deque()

    def spawn(self, fn: Callable[..., T], *args: object) -> None:
        """Run `fn(*args)` in the pool. Parks while the pool is full."""
        self._results.append(self.pool.spawn(_attempt, fn, args))

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> T:
        """The next result. Parks until there is one. Raises what its function raised."""
        while self._results:
            # It leaves the pile when it is there: an interrupted wait takes nothing.
            first = self._results[0]
            first.join()
            if self._results and self._results[0] is first:
                return cast("T", _outcome(self._results.popleft()))
        raise StopIteration

    def __len__(self) -> int:
        """How many results are not taken yet."""
        return len(self._results)


def _attempt(fn: Callable[..., object], row: tuple[object, ...]) -> tuple[bool, object]:
    # An exception is kept as a value: it is the consumer's to raise, in order, and not a failure
    # that nobody waits for.
    try:
        return True, fn(*row)
    except Cancelled:
        raise
    except Exception as exc:  # noqa: BLE001 - raised again by _outcome
        return False, exc


def _outcome(thread: GreenThread[tuple[bool, object]]) -> object:
    good, value = thread.wait()
    if not good and isinstance(value, Exception):
        raise value
    return value
