"""Running: loops from their first turn to their last.

Place     aio, on loop.py; bridge.py asks here for the loop to use.
Promise   `run()` is `asyncio.run()` for a caller whose other green threads go on. Green code needs
          no loop of its own: one in the background serves all green threads of a native thread,
          from the first time it is asked for until `stop()` or the program's end.
Not here  single calls across the border (bridge.py).

    run(main) ──▶ a loop thread ──▶ main() ──▶ cancel what is left ──▶ close ──▶ result
       └─ interrupted (Ctrl-C, Timeout, cancel): cancel main, wait for that end, pass it on
"""

from __future__ import annotations

import asyncio
import atexit
import inspect
import os
import threading
from contextvars import Context, ContextVar
from typing import TYPE_CHECKING, Any, TypeVar, cast

from verdant.aio.errors import InsideLoop
from verdant.aio.loop import Loop, LoopThread
from verdant.core import Cancelled, WasCancelled, current_hub, take_over_ctrl_c
from verdant.core.originals import get_ident, thread_local

if TYPE_CHECKING:
    from collections.abc import Awaitable, Coroutine

__all__ = ["home", "loop_for_green", "refuse_inside_loop", "run", "stop"]

T = TypeVar("T")

# Seconds that the background loop gets for ending its tasks. They have been cancelled, so what
# they still do is clean up; one that refuses to end must not keep the process.
STOP_S = 5.0

# The loop that this code belongs to: set in a loop's thread, inherited by its tasks and by the
# green threads that those spawn. What asyncio made (a session, a lock) works in its own loop only.
home: ContextVar[Loop | None] = ContextVar("verdant_aio_home", default=None)


class _Slot(thread_local):
    background: tuple[Loop, LoopThread[None]] | None = None


_slot = _Slot()
_at_exit: list[object] = []


def refuse_inside_loop(call: str, awaitable: object) -> None:
    """Raise `InsideLoop` when an asyncio loop runs this very code; `awaitable` is then closed."""
    if asyncio._get_running_loop() is None:  # noqa: SLF001 - there for whoever implements a loop
        return
    if inspect.iscoroutine(awaitable):
        # It will never be awaited, and should not be reported for that.
        awaitable.close()
    raise InsideLoop(
        f"{call} was called in the asyncio loop's own green thread, where it would wait for"
        " itself: write `await` here, or run the straight-line code in a green thread by"
        " `await aio.spawn(fn)`"
    )


class _Program(LoopThread[None]):
    """The thread of one `run()`, and how its main coroutine ended."""

    def __init__(self, main: Coroutine[Any, Any, Any], debug: bool | None) -> None:
        super().__init__(self._body, "asyncio")
        self._main = main
        self._debug = debug
        self._loop: Loop | None = None
        self._task: asyncio.Task[Any] | None = None
        self.result: Any = None
        self.failure: BaseException | None = None

    def _body(self) -> None:
        try:
            self.result = self._run()
        except BaseException as exc:  # noqa: BLE001 - carried over to the caller of run()
            self.failure = exc

    def _run(self) -> Any:  # noqa: ANN401 - the coroutine's own
        loop = self._loop = Loop()
        home.set(loop)
        try:
            with asyncio.Runner(debug=self._debug, loop_factory=lambda: loop) as runner:
                runner.get_loop()
                # Not runner.run(): its Ctrl-C handling takes the main thread for its own.
                self._task = loop.create_task(self._main)
                try:
                    return loop.run_until_complete(self._task)
                finally:
                    loop.serving = False
        finally:
            _abandon(loop)

    def stop(self) -> None:
        """Cancel the main coroutine. From a green thread of the same native thread."""
        if self._loop is None or self._task is None:
            # Not begun.
            self.cancel()
            self._main.close()
        else:
            self._loop.call_from_green(self._task.cancel)

    @property
    def was_cancelled(self) -> bool:
        """True when the main coroutine ended by being cancelled."""
        return self._task is None or (self._task.done() and self._task.cancelled())


def run(main: Coroutine[Any, Any, T] | Awaitable[T], *, debug: bool | None = None) -> T:
    """Run a whole asyncio program in a loop of its own, as `asyncio.run`. Parks.

    Returns or raises what `main` does; the tasks it leaves behind are cancelled first. The caller's
    context variables are `main`'s. `Timeout`, `cancel()` or Ctrl-C here cancels `main`, waits for
    its end, and goes on; a second one does not wait. Raises `InsideLoop` in a running loop.
    """
    refuse_inside_loop("aio.run()", main)
    if not inspect.isawaitable(main):
        raise TypeError(f"aio.run() needs a coroutine or another awaitable, not {main!r}")
    program = _Program(main if inspect.iscoroutine(main) else _awaited(main), debug)
    # A task that happens to run when Ctrl-C comes would not be the one to cancel.
    take_over_ctrl_c()
    try:
        program.join()
    except BaseException as exc:
        program.stop()
        try:
            program.join()
        except BaseException:
            # Asked a second time: the loop ends without its tasks' consent.
            program.cancel()
            raise
        # As in asyncio, a program that takes Ctrl-C for a wish may go on to its result.
        if not isinstance(exc, KeyboardInterrupt) or program.was_cancelled:
            raise
    if isinstance(program.failure, Cancelled):
        raise WasCancelled("the green thread of aio.run() was cancelled: there is no result")
    if program.failure is not None:
        raise program.failure
    return cast("T", program.result)


async def _awaited(what: Awaitable[T]) -> T:
    return await what


def loop_for_green(awaitable: object) -> Loop | None:
    """The loop of this native thread that `awaitable` is to run in, or None when it cannot.

    A future's own; else the one this green thread descends from; else the one in the background,
    which is started when there is none. Does not park.
    """
    hub = current_hub()
    if asyncio.isfuture(awaitable):
        found = awaitable.get_loop()
        return found if isinstance(found, Loop) and found.serving and found.hub is hub else None
    own = home.get()
    if own is not None and own.serving and own.hub is hub:
        return own
    return _background()


def _background() -> Loop:
    found = _slot.background
    if found is None or not found[0].serving or found[0].hub is not current_hub():
        loop = Loop()
        # In an empty context: it serves everybody, so it is nobody's child.
        thread = Context().run(LoopThread[None], lambda: _serve(loop), "asyncio in the background")
        found = _slot.background = (loop, thread)
        if not _at_exit and threading.main_thread().ident == get_ident():
            _at_exit.append(atexit.register(_stop_at_exit))
    return found[0]


def _serve(loop: Loop) -> None:
    home.set(loop)
    try:
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            runner.get_loop()
            while loop.serving:
                try:
                    loop.run_forever()
                except (KeyboardInterrupt, SystemExit) as exc:
                    # asyncio lets these two out of the task that raised them. Whoever waits for
                    # that task gets it from there; otherwise it is meant for the program.
                    if not any(crossing.carries(exc) for crossing in loop.crossings):
                        loop.hub.interrupt(loop.hub.main, exc)
    finally:
        loop.serving = False
        _abandon(loop)


def _abandon(loop: Loop) -> None:
    for crossing in list(loop.crossings):
        crossing.abandon()


def stop(timeout: float | None = STOP_S) -> bool:
    """End this native thread's background loop, cancelling its tasks. Parks.

    For native threads that end before the process does, and for tests: at the program's end it
    happens by itself. Returns False when `timeout` seconds were not enough. The next `aio.wait()`
    starts another loop.
    """
    refuse_inside_loop("aio.stop()", None)
    found, _slot.background = _slot.background, None
    if found is None:
        return True
    loop, thread = found
    if loop.serving:
        loop.serving = False
        loop.call_from_green(loop.stop)
    return thread.join(timeout)


def _stop_at_exit() -> None:
    found = _slot.background
    if found is not None and found[0].serving:
        loop = found[0]
        # Its threads have been waited for already, and no more can be started now.
        loop.drop_default_executor()
        # Green threads that are parked when the program ends are not heard of again, here too.
        for crossing in loop.crossings:
            crossing.forsake()
    stop()


def _forget_after_fork() -> None:
    # The parent's loop stands on a descriptor that both processes share: the child needs another.
    _slot.background = None


os.register_at_fork(after_in_child=_forget_after_fork)
