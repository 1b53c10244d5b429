"""Greenthread: Eventlet's spellings of spawning, sleeping and stopping.

Place     eventlet, over core's green threads.
Promise   Eventlet's calls and names. What `kill` raises by default is GreenletExit, as there.
Differs   a thread that was woken already when it is killed runs until its next wait first, so that
          nothing that was handed to it is lost. A failure is printed when nobody waits for it and
          nobody is linked, not always. Context variables are inherited.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from greenlet import GreenletExit, getcurrent, greenlet

from verdant import core
from verdant.eventlet.throwing import exception_of
from verdant.eventlet.timeout import Timeout, with_timeout

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

__all__ = [
    "GreenThread",
    "cancel",
    "exc_after",
    "getcurrent",
    "kill",
    "sleep",
    "spawn",
    "spawn_after",
    "spawn_after_local",
    "spawn_n",
    "with_timeout",
]


@dataclass(frozen=True, slots=True)
class _Link:
    """A call at a thread's end; equal to another one with the same function and arguments."""

    func: Callable[..., object]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]

    def __call__(self, thread: core.GreenThread[Any], /) -> object:
        return self.func(thread, *self.args, **self.kwargs)


class GreenThread(core.GreenThread[Any]):
    """A function that runs beside others. Made by `spawn`, never directly."""

    def __init__(
        self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None:
        name = getattr(function, "__qualname__", None) or repr(function)
        body = partial(function, **kwargs) if kwargs else function
        super().__init__(core.current_hub(), body, args, name)
        # While it is set, the thread is not among the ready ones yet.
        self._begins: core.Timer | None = None

    def begin(self) -> None:
        """Let it run, soon. Once. Does not park."""
        self._begins = None
        self.scheduled = True
        self.hub.ready.append(self)

    def begin_later(self, seconds: float, wanted: Callable[[], bool] = lambda: True) -> None:
        """Let it run after `seconds`, if `wanted()` then. Does not park."""
        self.scheduled = False
        self._begins = self.hub.run_later(max(0.0, seconds), self._begin_if, wanted)

    def _begin_if(self, wanted: Callable[[], bool]) -> None:
        # In the hub.
        if wanted():
            self.begin()

    def wait(self) -> Any:
        """Its result. Parks. Raises what its function raised, or what it was killed with."""
        self.join()
        if self.exception is not None:
            raise self.exception
        return self._result

    def link(self, func: Callable[..., Any], *curried_args: Any, **curried_kwargs: Any) -> None:
        """Call `func(thread, *curried_args, **curried_kwargs)` when it has ended, in it.

        Called at once, by the caller, when it has ended already.
        """
        self.at_end(_Link(func, curried_args, curried_kwargs))

    def unlink(self, func: Callable[..., Any], *curried_args: Any, **curried_kwargs: Any) -> bool:
        """Take back the `link` with these arguments. False when there is none. Does not park."""
        return self.not_at_end(_Link(func, curried_args, curried_kwargs))

    def kill(self, *throw_args: Any) -> None:
        """End it: GreenletExit, or `throw_args`, is raised where it waits. Parks for a turn."""
        kill(self, *throw_args)

    def cancel(self, *throw_args: Any) -> None:
        """As `kill`, but only if it has not begun. Parks for a turn."""
        cancel(self, *throw_args)

    def throw_later(self, exc: BaseException) -> None:
        """Raise `exc` in it at its wait; before its first line when it has not begun."""
        if self._begins is None:
            core.interrupt(self, exc)
        else:
            self._begins.cancel()
            self.interrupts = deque([exc])
            self.begin()

    def __await__(self) -> Generator[Any, None, Any]:
        """Its result, in a coroutine of the loop that runs. Cancelled, it kills the thread."""
        # Here, since asyncio is much to import for programs that have none.
        from verdant import aio

        return aio.spawn(self._wait_or_kill).__await__()

    def _wait_or_kill(self) -> Any:
        try:
            return self.wait()
        except core.Cancelled:
            self.throw_later(GreenletExit())
            raise

    def _tell(self, exc: BaseException) -> None:
        # Whoever is linked sees the failure, as one who waits does.
        linked = any(isinstance(call, _Link) for call in self._at_end)
        if not linked or not isinstance(exc, Exception):
            super()._tell(exc)


def sleep(seconds: float = 0) -> None:
    """Let others run, for `seconds` at least. Parks."""
    if getcurrent() is not core.current_hub().greenlet:
        core.sleep(max(0, seconds))
    elif seconds > 0:
        raise RuntimeError("do not call blocking functions from the mainloop")


def spawn(func: Callable[..., Any], *args: Any, **kwargs: Any) -> GreenThread:
    """Run `func(*args, **kwargs)` in a new green thread, soon. Does not park."""
    thread = GreenThread(func, args, kwargs)
    thread.begin()
    return thread


def spawn_n(func: Callable[..., Any], *args: Any, **kwargs: Any) -> GreenThread:
    """As `spawn`. What it returns is there to be killed; Eventlet's has no result."""
    return spawn(func, *args, **kwargs)


def spawn_after(seconds: float, func: Callable[..., Any], *args: Any, **kwargs: Any) -> GreenThread:
    """As `spawn`, after `seconds`. `cancel()` prevents it until then. Does not park."""
    thread = GreenThread(func, args, kwargs)
    thread.begin_later(seconds)
    return thread


def spawn_after_local(
    seconds: float, func: Callable[..., Any], *args: Any, **kwargs: Any
) -> GreenThread:
    """As `spawn_after`, but not if the green thread that called has ended by then."""
    caller = getcurrent()
    thread = GreenThread(func, args, kwargs)
    thread.begin_later(seconds, lambda: not caller.dead)
    return thread


def exc_after(seconds: float | None, *throw_args: Any) -> Timeout:
    """Raise `throw_args` here after `seconds`, unless `cancel()` is called. Does not park."""
    return Timeout(seconds, exception_of(*throw_args))


def kill(g: greenlet, *throw_args: Any) -> None:
    """End `g`: GreenletExit, or `throw_args`, is raised where it waits. Parks for a turn."""
    if g.dead:
        return
    hub = core.current_hub()
    exc = exception_of(*throw_args)
    me = getcurrent()
    if isinstance(g, GreenThread):
        g.throw_later(exc)
    elif hasattr(g, "interrupts"):
        core.interrupt(cast("core.Parkable", g), exc)
    else:
        # Somebody's own greenlet: it comes back to us when it ends or waits.
        if me is not hub.greenlet:
            hub.ready.append(cast("core.Parkable", me))
        g.throw(exc)
        return
    if me is not hub.greenlet:
        core.sleep(0)


def cancel(g: greenlet, *throw_args: Any) -> None:
    """As `kill`, but only if `g` has not begun. Parks for a turn."""
    if not g:
        kill(g, *throw_args)
