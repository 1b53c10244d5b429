"""Green pool and green pile: Eventlet's, which start work and collect it in order.

Place     eventlet, over core's pool.
Promise   `spawn` on a full pool from one of its own threads runs the function there and then, as in
          Eventlet: a pool never waits for itself.
Differs   an iterable that fails while `imap` goes through it raises in the consumer, which in
          Eventlet waits for ever. Failures that are collected are not printed as well.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, Self

from greenlet import getcurrent

from verdant import core
from verdant.eventlet import greenthread
from verdant.eventlet.greenthread import GreenThread
from verdant.eventlet.queue import LightQueue

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

__all__ = ["GreenPile", "GreenPool"]


class GreenPool(core.GreenPool):
    """At most `size` green threads at once. Raises TypeError or ValueError for what is no size."""

    def __init__(self, size: int = 1000) -> None:
        try:
            size = int(size)
        except ValueError as exc:
            raise TypeError(f"a pool's size must be a number, not {size!r}") from exc
        if size < 0:
            raise ValueError(f"a pool's size must be at least 0, not {size}")
        super().__init__(max(1, size))
        self.resize(size)

    @property
    def coroutines_running(self) -> set[Any]:
        """Its green threads."""
        return set(self._threads)

    def free(self) -> int:
        """How many more could start; below zero after it was made smaller. Does not park."""
        return self._free

    def resize(self, new_size: int) -> None:
        """Let `new_size` run from now on; those that run go on. Does not park."""
        self._free += new_size - self.size
        self.size = new_size
        while self._free > 0 and self._turn.wake_one():
            self._free -= 1

    def spawn(  # type: ignore[override] # Eventlet's
        self, function: Callable[..., Any], *args: Any, **kwargs: Any
    ) -> GreenThread:
        """Run `function(*args, **kwargs)` in the pool; its green thread. Parks while it is full."""
        if self._free <= 0 and getcurrent() in self._threads:
            # Waiting here for a place could mean waiting for ourselves.
            return _done_here(function, args, kwargs)
        self._take()
        thread = GreenThread(function, args, kwargs)
        self._threads.add(thread)
        thread.at_end(self._ended)
        thread.begin()
        return thread

    def spawn_n(  # type: ignore[override] # Eventlet's
        self, function: Callable[..., Any], *args: Any, **kwargs: Any
    ) -> None:
        """As `spawn`, for when nobody wants the result. Parks while it is full."""
        self.spawn(function, *args, **kwargs)

    def waitall(self) -> None:
        """Wait until none of its green threads is left. Parks.

        Raises AssertionError in one of them, where it would wait for ever.
        """
        if getcurrent() in self._threads:
            raise AssertionError(
                "Calling waitall() from within one of the GreenPool's greenthreads will never"
                " terminate."
            )
        super().waitall()

    def starmap(
        self, function: Callable[..., Any] | None, iterable: Iterable[Iterable[Any]]
    ) -> Iterator[Any]:
        """The results of `function(*row)`, in order; work begins at once. Does not park.

        Iterating parks, and raises what a call raised in its place; the next goes on after it.
        """
        return _Results(self, function or (lambda *row: row), iterable)

    def imap(self, function: Callable[..., Any] | None, *iterables: Iterable[Any]) -> Iterator[Any]:
        """As `starmap` over the iterables side by side. Does not park."""
        return self.starmap(function, zip(*iterables, strict=False))


def _done_here(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> GreenThread:
    try:
        result = function(*args, **kwargs)
    except Exception as exc:  # noqa: BLE001 - what waits for the thread raises it
        thread = GreenThread(_raise, (exc,), {})
    else:
        thread = GreenThread(lambda: result, (), {})
    thread.begin()
    return thread


def _raise(exc: Exception) -> None:
    raise exc


def _collected(_: GreenThread) -> None:
    """Linked to threads whose result is taken later, so that a failure is not unheard of."""


class _Results:
    """What `imap` gives: a producer of its own spawns ahead of the consumer, by a pool's size."""

    def __init__(
        self, pool: GreenPool, function: Callable[..., Any], rows: Iterable[Iterable[Any]]
    ) -> None:
        self._pool = pool
        self._function = function
        # None ends the line.
        self._ahead = LightQueue(max(1, pool.size))
        self._producer = greenthread.spawn(self._produce, rows)
        self._producer.link(_collected)

    def _produce(self, rows: Iterable[Iterable[Any]]) -> None:
        try:
            for row in rows:
                thread = self._pool.spawn(self._function, *row)
                thread.link(_collected)
                self._ahead.put(thread)
        finally:
            self._ahead.put(None)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Any:
        thread = self._ahead.get()
        if thread is None:
            self._ahead.put(None)
            # What the iterable raised, if it did.
            self._producer.wait()
            raise StopIteration
        return thread.wait()


class GreenPile:
    """Spawn, then iterate over the results in the order of spawning.

    `size_or_pool`: a `GreenPool` to share, or the size of one of its own.
    """

    def __init__(self, size_or_pool: GreenPool | int = 1000) -> None:
        self.pool = size_or_pool if isinstance(size_or_pool, GreenPool) else GreenPool(size_or_pool)
        self._results: deque[GreenThread] = deque()

    @property
    def counter(self) -> int:
        """Results that were not taken yet."""
        return len(self._results)

    def spawn(self, func: Callable[..., Any], *args: Any, **kw: Any) -> None:
        """Run `func(*args, **kw)` in the pool. Parks while the pool is full."""
        thread = self.pool.spawn(func, *args, **kw)
        thread.link(_collected)
        self._results.append(thread)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Any:
        """The next result. Parks. Raises what its function raised; then the next one's turn is."""
        if not self._results:
            raise StopIteration
        return self._results.popleft().wait()

    next = __next__
