"""Loop: asyncio's own event loop, at home in a green thread.

Place     aio, on selector.py and executor.py; running.py starts and ends it, bridge.py hands it
          work.
Promise   asyncio's loop, not a copy of it: transports, tasks and debug mode are the stdlib's. Of
          all green threads only the loop's own sees a running loop, a current task and the loop's
          hooks for asynchronous generators, wherever inside a coroutine it may have parked.
Not here  waiting (selector.py); what crosses the border (bridge.py).

Asyncio keeps "the running loop" per native thread, and libraries ask it which world they are in
(sniffio, anyio, httpx do). While the loop's green thread is parked others run in the same native
thread, so its state is put in place when the hub switches to it and taken away when it has
parked. At the switch and not in the selector, because code under a coroutine parks elsewhere too:
in a green lock, in a patched `time.sleep`.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import weakref
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from greenlet import getcurrent

from verdant.aio.executor import NativeExecutor, threads_are_green
from verdant.aio.selector import HubSelector
from verdant.core import GreenThread, current_hub
from verdant.core.originals import set_wakeup_fd

if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Callable
    from concurrent.futures import Executor, ThreadPoolExecutor
    from contextvars import Context
    from types import FrameType

__all__ = ["Crossing", "Loop", "LoopThread"]

T_co = TypeVar("T_co", covariant=True)


class Crossing(Protocol):
    """A green thread's wait for something in a loop, as the loop's end sees it (bridge.py)."""

    def abandon(self) -> None:
        """The loop has ended: nothing will come any more. Does not park."""

    def forsake(self) -> None:
        """Wake nobody when it ends: the program does. Does not park."""

    def carries(self, exc: BaseException) -> bool:
        """True when `exc` is what the waiting green thread is about to be told."""


class Loop(asyncio.SelectorEventLoop):
    """asyncio's selector loop, parked on the hub of the native thread that makes it."""

    # What the stdlib's classes keep and typeshed does not list.
    _default_executor: ThreadPoolExecutor | None
    _handle_signal: Callable[[int], None]
    _ready: deque[asyncio.Handle]
    _signal_handlers: dict[int, asyncio.Handle]

    def __init__(self) -> None:
        self.hub = current_hub()
        # False once it is about to end: work that is handed over then would never be done.
        self.serving = True
        # Who waits for this loop.
        self.crossings: set[Crossing] = set()
        # True when nobody had a wake-up descriptor, so that asyncio's own stays for signals.
        self._wakes_by_itself = False
        self._hub_selector = HubSelector(self._report_stray)
        super().__init__(self._hub_selector)

    def call_from_green(
        self,
        callback: Callable[..., object],
        *args: object,
        context: Context | None = None,
    ) -> None:
        """Call `callback(*args)` in the loop, soon. Does not park.

        From any green thread of the loop's own native thread, where it is cheaper than
        `call_soon_threadsafe`: no descriptor is written and read.
        """
        # Not call_soon(), which in debug mode refuses every thread but its own.
        self._ready.append(asyncio.Handle(callback, args, self, context))
        self._hub_selector.rouse()

    def run_in_executor(  # type: ignore[override] # typeshed says more than the stdlib does
        self,
        executor: Executor | None,
        func: Callable[..., Any],
        *args: Any,  # noqa: ANN401 - the function's own
    ) -> asyncio.Future[Any]:
        """As in asyncio. The default executor has native threads, under a patch too."""
        if executor is None and self._default_executor is None and threads_are_green():
            self.set_default_executor(NativeExecutor())
        return super().run_in_executor(executor, func, *args)

    def drop_default_executor(self) -> None:
        """Let go of the default executor without waiting for its threads. Does not park."""
        executor, self._default_executor = self._default_executor, None
        if executor is not None:
            executor.shutdown(wait=False, cancel_futures=True)

    # Signals. The hub has a wake-up descriptor of its own, which asyncio's would replace, and then
    # remove with the last handler. So the hub keeps its own, and the handler is a Python function.

    def add_signal_handler(self, sig: int, callback: Callable[..., object], *args: Any) -> None:  # type: ignore[override] # noqa: ANN401 - the callback's own
        """As in asyncio. From the main native thread only, else RuntimeError."""
        try:
            previous = set_wakeup_fd(-1)
        except ValueError:
            # Not the main thread; asyncio says so in its own words.
            super().add_signal_handler(sig, callback, *args)
            return
        try:
            super().add_signal_handler(sig, callback, *args)
            signal.signal(sig, self._on_signal)
            signal.siginterrupt(sig, False)
        finally:
            if previous == -1:
                self._wakes_by_itself = True
            elif not self._wakes_by_itself:
                set_wakeup_fd(previous, warn_on_full_buffer=False)

    def remove_signal_handler(self, sig: int) -> bool:
        """As in asyncio."""
        try:
            previous = set_wakeup_fd(-1)
        except ValueError:
            return super().remove_signal_handler(sig)
        try:
            return super().remove_signal_handler(sig)
        finally:
            if not self._wakes_by_itself or self._signal_handlers:
                set_wakeup_fd(previous, warn_on_full_buffer=False)

    def _on_signal(self, signum: int, _: FrameType | None) -> None:
        # In the main native thread, between any two instructions of it. It writes to the loop's
        # own pipe, as from a stranger, so that a wait which is just about to begin ends too.
        self._handle_signal(signum)

    def _process_self_data(self, data: bytes) -> None:
        """Ignore signal numbers in the loop's own pipe: `_on_signal` has been called for them."""

    def _report_stray(self, exc: BaseException) -> None:
        self.call_exception_handler(
            {
                "message": (
                    "a green interrupt reached the asyncio loop instead of a task: use"
                    " asyncio.timeout() in coroutines, Timeout in green threads"
                ),
                "exception": exc,
            }
        )


# What asyncio keeps per native thread: running loop, current task, generator hooks.
_State = tuple[asyncio.AbstractEventLoop | None, "asyncio.Task[Any] | None", Any]

_NOTHING: _State = (None, None, (None, None))

_get_loop = asyncio._get_running_loop  # noqa: SLF001 - there for whoever implements a loop
_set_loop = asyncio._set_running_loop  # noqa: SLF001
_get_hooks = sys.get_asyncgen_hooks
_set_hooks = sys.set_asyncgen_hooks

if sys.version_info >= (3, 14):
    from asyncio.tasks import _swap_current_task  # type: ignore[attr-defined]

    def _take() -> _State:
        loop = _get_loop()
        task = None if loop is None else _swap_current_task(loop, None)
        hooks = _get_hooks()
        _set_loop(None)
        _set_hooks(None, None)
        return loop, task, hooks

    def _put(state: _State) -> None:
        loop, task, hooks = state
        _set_loop(loop)
        if loop is not None:
            _swap_current_task(loop, task)
        _set_hooks(*hooks)
else:
    # The current task is kept by loop there, so it needs no moving.

    def _take() -> _State:
        state = (_get_loop(), None, _get_hooks())
        _set_loop(None)
        _set_hooks(None, None)
        return state

    def _put(state: _State) -> None:
        _set_loop(state[0])
        _set_hooks(*state[2])


_threads: weakref.WeakSet[LoopThread[Any]] = weakref.WeakSet()


class LoopThread(GreenThread[T_co]):
    """The green thread of one loop: it takes asyncio's state with it when it parks.

    `fn()` runs the loop. Begins soon, like a thread made by `spawn`.
    """

    def __init__(self, fn: Callable[[], T_co], name: str) -> None:
        hub = current_hub()
        super().__init__(hub, fn, (), name)
        self._state = _NOTHING
        _threads.add(self)
        hub.ready.append(self)

    def switch(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - greenlet's own
        """Run it until it parks. The hub's business, and that of greenlets made by a coroutine."""
        if getcurrent() is not self.hub.greenlet:
            # A greenlet within one of the loop's tasks (SQLAlchemy makes such) goes back to its
            # maker: this is the same side of the border.
            return super().switch(*args, **kwargs)
        outer = _take()
        _put(self._state)
        try:
            return super().switch(*args, **kwargs)
        finally:
            self._state = _take()
            _put(outer)

    def throw(self, *args: Any) -> Any:  # noqa: ANN401 - greenlet's own
        """Run it with an exception until it parks. As `switch`."""
        if getcurrent() is not self.hub.greenlet:
            return super().throw(*args)
        outer = _take()
        _put(self._state)
        try:
            return super().throw(*args)
        finally:
            self._state = _take()
            _put(outer)

    def forget_loop(self) -> None:
        """Run no loop any more, in a forked child: asyncio says the same there."""
        self._state = _NOTHING


def _forget_after_fork() -> None:
    for thread in _threads:
        thread.forget_loop()


os.register_at_fork(after_in_child=_forget_after_fork)
