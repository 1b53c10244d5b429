"""Bridge: one call across the border, in either direction.

Place     aio, on running.py; what green code and coroutines call.
Promise   a result or an exception comes back as if there were no border, and so does the wish to
          stop: who is interrupted here cancels there, and goes on once that has ended. Context
          variables are inherited, as a task inherits them.
Not here  whole programs (running.py).

    green thread ── wait(awaitable) ──▶ task in the loop       coroutine ── await spawn(fn) ──▶
       parked    ◀── result, exception ──┘                     green thread ──▶ result, exception
       Timeout, cancel() ──▶ task.cancel()                     task.cancel() ──▶ thread.cancel()
"""

from __future__ import annotations

import asyncio
import inspect
from contextvars import copy_context
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from verdant.aio.errors import OutsideLoop
from verdant.aio.loop import Loop
from verdant.aio.running import home, loop_for_green, refuse_inside_loop
from verdant.core import (
    Cancelled,
    GreenThread,
    Parkable,
    TimedOut,
    WasCancelled,
    current_thread,
    park,
    unpark,
)
from verdant.core import spawn as spawn_green

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

__all__ = ["spawn", "wait"]

T = TypeVar("T")

# Seconds that an interrupted wait() gives its task to end: the time for closing a connection or
# rolling back, not for a task that swallows its cancellation.
CANCEL_S = 5.0


class _Crossing(Generic[T]):
    """A green thread that waits for an awaitable. The loop's end of it is a done callback."""

    def __init__(self, loop: Loop, awaitable: Awaitable[T], waiter: Parkable) -> None:
        self._loop = loop
        self._awaitable = awaitable
        # None once it is woken, or has left.
        self._waiter: Parkable | None = waiter
        self._task: asyncio.Future[T] | None = None
        self._failure: BaseException | None = None
        # True when an interrupt is on its way to the waiter in place of the outcome.
        self._given_up = False
        loop.crossings.add(self)

    def result(self, timeout: float | None) -> T:
        """Wait for the outcome. In the green thread. Parks."""
        try:
            # Woken by _wake(), from _end() or abandon().
            park(timeout)
        except BaseException:
            self._given_up = True
            if self._waiter is not None:
                self._cancel()
            raise
        if self._failure is not None:
            raise self._failure
        task = cast("asyncio.Future[T]", self._task)
        if task.cancelled():
            raise WasCancelled("the asyncio task was cancelled: it has no result")
        return task.result()

    def _cancel(self) -> None:
        # Two turns of the loop at the most: begin() has been queued before it.
        self._loop.call_from_green(self._ask_to_end)
        try:
            # Woken by _wake(), from _end() or abandon().
            park(CANCEL_S)
        except TimedOut as exc:
            # It does not end. Its outcome is asyncio's to report.
            if type(exc) is not TimedOut:
                raise
        finally:
            self._waiter = None

    # The loop's end.

    def begin(self) -> None:
        """Make a task of the awaitable. In the loop, in the green thread's context."""
        home.set(self._loop)
        try:
            self._task = asyncio.ensure_future(self._awaitable, loop=self._loop)
        except BaseException as exc:  # noqa: BLE001 - the caller's to hear: no awaitable, mostly
            self._failure = exc
            self._wake()
        else:
            self._task.add_done_callback(self._end)

    def _ask_to_end(self) -> None:
        if self._task is not None:
            self._task.cancel()

    def _end(self, task: asyncio.Future[T]) -> None:
        if not self._given_up and not task.cancelled():
            # Marks it as heard of. Nobody hears what a cancelled task failed with, so there
            # asyncio goes on to report it.
            task.exception()
        self._wake()

    def carries(self, exc: BaseException) -> bool:
        """True when the green thread is about to be told of `exc`."""
        task = self._task
        return (
            task is not None
            and not self._given_up
            and task.done()
            and not task.cancelled()
            and task.exception() is exc
        )

    def forsake(self) -> None:
        """Let the green thread wait for ever. In its own hub, at the program's end."""
        self._waiter = None

    def abandon(self) -> None:
        """Nothing will come any more. In the loop's thread, after the loop."""
        if inspect.iscoroutine(self._awaitable) and self._task is None:
            self._awaitable.close()
        self._failure = WasCancelled("the asyncio loop was stopped: there is no result")
        self._wake()

    def _wake(self) -> None:
        self._loop.crossings.discard(self)
        waiter, self._waiter = self._waiter, None
        if waiter is not None:
            unpark(waiter)


def wait(awaitable: Awaitable[T], timeout: float | None = None) -> T:
    """Wait in a green thread for a coroutine, task or future. Parks.

    It runs in the loop that this green thread descends from, else in one that all green threads of
    this native thread share. Returns or raises what it does (`WasCancelled` when something else
    cancels it), `TimedOut` after `timeout` seconds. When the wait is interrupted, by that bound, by
    a `Timeout` or by `cancel()`, the task is cancelled and may take `CANCEL_S` seconds to end.
    Raises `InsideLoop` in a running loop, `OutsideLoop` for the future of a loop elsewhere.
    """
    refuse_inside_loop("aio.wait()", awaitable)
    loop = loop_for_green(awaitable)
    if loop is None:
        raise OutsideLoop(
            f"{awaitable!r} belongs to a loop that does not run in this native thread: wait for it"
            " there, or pass the coroutine itself"
        )
    crossing = _Crossing(loop, awaitable, current_thread())
    loop.call_from_green(crossing.begin, context=copy_context())
    return crossing.result(timeout)


class _GreenFuture(asyncio.Future[T]):
    """What a green thread will return. Cancelled like a task: the thread is asked to end first."""

    def __init__(
        self, loop: Loop, fn: Callable[..., T], args: tuple[object, ...], name: str | None
    ) -> None:
        super().__init__(loop=loop)
        self._fn = fn
        self._args = args
        self._result_of_fn: T | None = None
        self._failure: BaseException | None = None
        self._message: object = None
        self._thread: GreenThread[None] = spawn_green(
            self._call, name=name or getattr(fn, "__qualname__", None) or repr(fn)
        )
        self._thread.at_end(self._report)

    def cancel(self, msg: object = None) -> bool:
        """Ask the green thread to end; its end then ends this. Does not park."""
        if self.done() or self._thread.done:
            return False
        self._message = msg
        self._thread.cancel()
        return True

    # In the green thread.

    def _call(self) -> None:
        try:
            self._result_of_fn = self._fn(*self._args)
        except Cancelled:
            # As such the thread's own end, which _report() looks at: one that never began has it
            # too.
            raise
        except BaseException as exc:  # noqa: BLE001 - carried over to the coroutine
            self._failure = exc

    def _report(self, thread: GreenThread[object]) -> None:
        cast("Loop", self.get_loop()).call_from_green(self._settle, thread)

    # In the loop.

    def _settle(self, thread: GreenThread[object]) -> None:
        failure = thread.exception or self._failure
        if failure is None:
            self.set_result(cast("T", self._result_of_fn))
        elif isinstance(failure, Cancelled | asyncio.CancelledError):
            super().cancel(self._message)
        elif isinstance(failure, StopIteration):
            # A coroutine cannot be told of this one: it would look like its own return.
            error = RuntimeError("the green thread raised StopIteration")
            error.__cause__ = failure
            self.set_exception(error)
        else:
            self.set_exception(failure)


async def spawn(fn: Callable[..., T], *args: object, name: str | None = None) -> T:
    """Run `fn(*args)` in a new green thread and await its end, from a coroutine.

    Returns or raises what `fn` does. When the coroutine is cancelled (by `asyncio.timeout` for
    one) so is the green thread, and the await ends when that has: with the cancellation, or with
    what `fn` made of it, as for a task. `name`: shown in reports. Raises `OutsideLoop` in a loop
    that does not run on the hub.
    """
    loop: Any = asyncio.get_running_loop()
    if not isinstance(loop, Loop):
        raise OutsideLoop(
            "aio.spawn() was awaited in a loop that does not let green threads run: start the"
            " program by aio.run(main())"
        )
    return await _GreenFuture(loop, fn, args, name)
