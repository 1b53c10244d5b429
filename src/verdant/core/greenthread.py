"""Green threads: straight-line functions that run beside each other.

Place     core, on parking and the hub; what users hold in their hands.
Promise   a result or an exception is kept until somebody asks; an exception that nobody waits for
          is reported once, with the thread's name. Cancelling runs `finally` clauses.
Not here  groups of threads (greenpool.py); native threads (workers.py).

    spawn ──▶ ready ──▶ running ⇄ parked ──▶ done (result · exception · cancelled)
"""

from __future__ import annotations

import contextvars
import sys
import traceback
from typing import TYPE_CHECKING, Generic, ParamSpec, TypeVar, cast

from greenlet import GreenletExit, greenlet

from verdant.core.hub import Hub, current_hub
from verdant.core.parking import current_thread, interrupt, park, running, unpark
from verdant.core.waitqueue import WaitQueue
from verdant.errors import Cancelled, TimedOut, VerdantError

if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Callable

__all__ = ["GreenThread", "WasCancelled", "on_unhandled", "sleep", "spawn", "spawn_after"]

P = ParamSpec("P")
T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class WasCancelled(VerdantError):
    """Raised by `wait()` on a thread that was cancelled and so has no result.

    Whoever cancelled it knows why. Not `Cancelled` itself: that would look as if the thread that
    waits had been cancelled too.
    """

    code = "was-cancelled"


def _print_unhandled(thread: GreenThread[object], exc: BaseException) -> None:
    text = "".join(traceback.format_exception(exc))
    sys.stderr.write(
        f"verdant: green thread {thread.name!r} failed and nobody waits for it\n{text}"
    )


# Called in the thread that failed, once per failure. A list of one, so that `on_unhandled` needs
# no `global`.
_unhandled: list[Callable[[GreenThread[object], BaseException], None]] = [_print_unhandled]


def on_unhandled(
    report: Callable[[GreenThread[object], BaseException], None],
) -> Callable[[GreenThread[object], BaseException], None]:
    """Let `report(thread, exception)` hear of green threads that fail while nobody waits for them.

    Returns the function that was called so far (at first one that prints to stderr). Does not park.
    """
    previous, _unhandled[0] = _unhandled[0], report
    return previous


class GreenThread(greenlet, Generic[T_co]):
    """A function that runs beside others in this native thread. Made by `spawn()`."""

    def __init__(
        self, hub: Hub, fn: Callable[..., T_co], args: tuple[object, ...], name: str | None
    ) -> None:
        super().__init__(None, hub.greenlet)
        self.hub = hub
        self.scheduled = True
        self.interrupts: deque[BaseException] | None = None
        self.done = False
        self._fn: Callable[..., T_co] | None = fn
        self._args = args
        self._name = name
        self._result: T_co | None = None
        self._exception: BaseException | None = None
        self._waiters: WaitQueue | None = None
        # A tuple: most threads have none or one, and there a list is larger.
        self._at_end: tuple[Callable[[GreenThread[object]], object], ...] = ()
        hub.alive += 1
        # Each green thread starts with a copy of its parent's context variables, as a task does.
        self.gr_context = contextvars.copy_context()

    @property
    def name(self) -> str:
        """The name given to `spawn`, or the function's own."""
        if self._name is None:
            self._name = getattr(self._fn, "__qualname__", None) or repr(self._fn)
        return self._name

    @name.setter
    def name(self, name: str) -> None:
        self._name = name

    @property
    def exception(self) -> BaseException | None:
        """What it ended with, or None: still running, or ended well."""
        return self._exception

    def run(self) -> None:
        """The body of the greenlet. The hub's business alone."""
        self.scheduled = False
        fn = cast("Callable[..., T_co]", self._fn)
        try:
            if self.interrupts:
                # Cancelled before it began.
                raise self.interrupts.popleft()
            self._result = fn(*self._args)
        except BaseException as exc:  # noqa: BLE001 - the top of a thread's stack: kept, reported
            self._exception = exc
            self._tell(exc)
        self.done = True
        self.hub.alive -= 1
        if self._name is None:
            self._name = getattr(fn, "__qualname__", None)
        self._fn = None
        self._args = ()
        if self._waiters is not None:
            self._waiters.wake_all()
        if self._at_end:
            self._call_links()

    def at_end(self, call: Callable[[GreenThread[object]], object]) -> None:
        """Call `call(thread)` when it has ended, even if it never began; at once if it has already.

        `call` runs in the thread itself and must not park. Several are called in the order in which
        they were given; what one raises is reported, and the others are called all the same.
        """
        if self.done:
            call(self)
        else:
            self._at_end = (*self._at_end, call)

    def not_at_end(self, call: Callable[[GreenThread[object]], object]) -> bool:
        """Take back one `at_end(call)`. Returns False when there is none. Does not park."""
        if call not in self._at_end:
            return False
        index = self._at_end.index(call)
        self._at_end = self._at_end[:index] + self._at_end[index + 1 :]
        return True

    def _call_links(self) -> None:
        calls, self._at_end = self._at_end, ()
        for call in calls:
            try:
                call(self)
            except Exception as exc:  # noqa: BLE001 - it must not keep the others from being called
                self._report(exc)

    def _tell(self, exc: BaseException) -> None:
        if isinstance(exc, Cancelled | GreenletExit):
            return
        if isinstance(exc, KeyboardInterrupt | SystemExit):
            # Meant for the program, whichever thread happened to run.
            self.hub.interrupt(self.hub.main, exc)
            return
        if not self._waiters:
            self._report(exc)

    def _report(self, exc: BaseException) -> None:
        try:
            _unhandled[0](self, exc)
        except Exception:  # noqa: BLE001 - a reporter that fails must not take the hub along
            _print_unhandled(self, exc)

    def join(self, timeout: float | None = None) -> bool:
        """Wait until it has ended, however it ended. Parks.

        Returns False when `timeout` seconds were not enough.
        """
        if not self.done:
            if self._waiters is None:
                self._waiters = WaitQueue()
            try:
                self._waiters.wait(timeout)
            except TimedOut as exc:
                # A Timeout scope around us is somebody else's bound.
                if timeout is None or type(exc) is not TimedOut:
                    raise
        return self.done

    def wait(self) -> T_co:
        """Wait for its result. Parks. Raises what the function raised, or `WasCancelled`."""
        self.join()
        exc = self._exception
        if exc is None:
            return cast("T_co", self._result)
        if isinstance(exc, Cancelled | GreenletExit):
            raise WasCancelled(f"green thread {self.name!r} was cancelled: it has no result")
        raise exc

    def cancel(self) -> None:
        """Ask it to stop: `Cancelled` is raised in it where it waits. Does not park.

        Does nothing when it has ended. A thread that has not begun never does.
        """
        if not self.done:
            interrupt(self, Cancelled(f"green thread {self.name!r} was cancelled"))

    def __repr__(self) -> str:
        if self.done:
            state = "done"
        elif self.gr_frame is None and self:
            # Begun, and without a suspended frame.
            state = "running"
        else:
            state = "ready" if self.scheduled else "parked"
        return f"<GreenThread {self.name!r} {state}>"


def spawn(fn: Callable[..., T], *args: object, name: str | None = None) -> GreenThread[T]:
    """Run `fn(*args)` in a new green thread, soon. Returns the thread. Does not park.

    `name`: shown in reports; the function's own name when left out. Keyword arguments for `fn` go
    through `functools.partial`.
    """
    hub = current_hub()
    thread: GreenThread[T] = GreenThread(hub, fn, args, name)
    hub.ready.append(thread)
    return thread


def start(thread: GreenThread[object]) -> None:
    """Let a thread that was made without `spawn` begin, soon. Once. Does not park."""
    thread.hub.ready.append(thread)


def spawn_after(
    seconds: float, fn: Callable[..., T], *args: object, name: str | None = None
) -> GreenThread[T]:
    """Like `spawn`, but begin after `seconds`. Cancelling it before then works. Does not park."""
    hub = current_hub()

    def begin_later() -> T:
        sleep(seconds)
        return fn(*args)

    thread: GreenThread[T] = GreenThread(
        hub, begin_later, (), name or getattr(fn, "__qualname__", None)
    )
    hub.ready.append(thread)
    return thread


def sleep(seconds: float = 0) -> None:
    """Let others run for `seconds` (0: one turn of everybody who is ready). Parks.

    Raises ValueError for a negative number, as `time.sleep` does.
    """
    if not seconds:
        me = running()
        try:
            hub = me.hub
        except AttributeError:
            # The main greenlet of a native thread gets its attributes with its hub.
            hub = current_hub()
        hub.take_turns(me)
        return
    if seconds < 0:
        raise ValueError("sleep length must be non-negative")
    me = current_thread()
    timer = me.hub.run_later(seconds, unpark, me)
    try:
        # Woken by the timer.
        park()
    finally:
        timer.cancel()
