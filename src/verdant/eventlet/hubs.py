"""Hubs: the names of Eventlet's hub that programs use, over this native thread's hub.

Place     eventlet, over core's hub and green's waits on descriptors.
Promise   `get_hub()` switches, schedules, registers and tells as Eventlet's does. A callback that
          fails is printed and nothing else is harmed.
Differs   there is one hub per native thread, with the best poller of the system: `use_hub` takes
          the names that Eventlet knows and changes nothing, and refuses hubs of others.
"""

from __future__ import annotations

import errno
import os
import select
import sys
import traceback
from typing import TYPE_CHECKING, Any, NamedTuple

from greenlet import getcurrent, greenlet

from verdant import core
from verdant.core.originals import thread_local
from verdant.eventlet.timeout import Timeout
from verdant.green.select import wait_for_events

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "Hub",
    "HubError",
    "IOClosed",
    "get_default_hub",
    "get_hub",
    "notify_close",
    "notify_opened",
    "trampoline",
    "use_hub",
]

READ = "read"
WRITE = "write"

_MASKS = {READ: select.POLLIN, WRITE: select.POLLOUT}

# What programs ask for by name, with or without "eventlet.hubs." before it.
_KNOWN = frozenset({"asyncio", "epolls", "kqueue", "poll", "selects", "zeromq"})


class HubError(Exception):
    """Raised when a hub is asked for that there is not. The caller's fault."""


class IOClosed(OSError):
    """Raised by `trampoline` when its descriptor was closed meanwhile."""


class Timer:
    """A call that was scheduled; `cancel()` prevents it."""

    def __init__(
        self,
        hub: Hub,
        seconds: float,
        call: Callable[[], Any],
        owner: greenlet | None,
    ) -> None:
        self.seconds = seconds
        self.called = False
        self._hub = hub
        self._call: Callable[[], Any] | None = call
        self._owner = owner
        self._timer: core.Timer | None = None
        if seconds > 0:
            self._timer = hub.core.run_later(seconds, self._fire)
        else:
            # In turn with what was spawned before and after.
            hub.core.run_soon(self._fire)

    @property
    def pending(self) -> bool:
        """True until it is called or cancelled, or the green thread it belongs to has ended."""
        return not self.called and (self._owner is None or not self._owner.dead)

    def cancel(self) -> None:
        """Do not call. Does nothing afterwards. Does not park."""
        self.called = True
        self._call = None
        if self._timer is not None:
            self._timer.cancel()

    def _fire(self) -> None:
        # In the hub.
        call, self._call = self._call, None
        if call is None or not self.pending:
            return
        self.called = True
        self._hub.protect(call)


class Listener(NamedTuple):
    """Who waits for what, on which descriptor."""

    evtype: str
    fileno: int
    greenlet: object


class _Registration:
    """A callback for a descriptor, called in the hub while it is ready, until it is removed."""

    def __init__(
        self,
        hub: Hub,
        evtype: str,
        fileno: int,
        call: Callable[..., Any],
        throw: Callable[..., Any],
        mark_as_closed: Callable[[], Any] | None,
    ) -> None:
        self.evtype = evtype
        self.fileno = fileno
        self.greenlet = getcurrent()
        self._hub = hub
        self._call = call
        self._throw = throw
        self._mark_as_closed = mark_as_closed
        self._removed = False
        self._waiter = core.spawn(self._wait, name=f"hub listener {fileno}")

    def _wait(self) -> None:
        while not self._removed:
            wait_for_events(self.fileno, _MASKS[self.evtype])
            if _is_closed(self.fileno):
                if self._mark_as_closed is not None:
                    self._mark_as_closed()
                self._hub.core.run_soon(self._hub.protect, lambda: self._throw(_closed()))
                return
            self._hub.core.run_soon(self._hub.protect, self._fire)
            # What it does (read, or remove the listener) it does before our next look.
            core.sleep(0)

    def _fire(self) -> None:
        if not self._removed:
            self._call(self.fileno)

    def remove(self) -> None:
        self._removed = True
        self._waiter.cancel()


class Hub:
    """This native thread's hub under Eventlet's names. Made by `get_hub()`."""

    READ = READ
    WRITE = WRITE
    SYSTEM_EXCEPTIONS = (KeyboardInterrupt, SystemExit)

    def __init__(self, hub: core.Hub) -> None:
        self.core = hub
        self.clock = hub.clock
        self.debug_exceptions = True

    @property
    def greenlet(self) -> greenlet:
        """The greenlet that runs the loop."""
        return self.core.greenlet

    @property
    def running(self) -> bool:
        """True once somebody has waited."""
        return bool(self.core.greenlet)

    def switch(self) -> Any:
        """Wait until somebody switches to this greenlet; what it switches with. Parks."""
        if getcurrent() is self.core.greenlet:
            raise AssertionError("Cannot switch to MAINLOOP from MAINLOOP")
        return self.core.greenlet.switch()

    def ensure_greenlet(self) -> None:
        """Nothing: the loop does not end."""

    def schedule_call_global(
        self, seconds: float, cb: Callable[..., Any], *args: Any, **kw: Any
    ) -> Timer:
        """Call `cb(*args, **kw)` in the hub after `seconds`. Does not park; nor may `cb`."""
        return Timer(self, seconds, lambda: cb(*args, **kw), None)

    def schedule_call_local(
        self, seconds: float, cb: Callable[..., Any], *args: Any, **kw: Any
    ) -> Timer:
        """As `schedule_call_global`, unless the greenlet that calls this has ended by then."""
        return Timer(self, seconds, lambda: cb(*args, **kw), getcurrent())

    def add(
        self,
        evtype: str,
        fileno: int,
        cb: Callable[..., Any],
        tb: Callable[..., Any],
        mark_as_closed: Callable[[], Any] | None = None,
    ) -> _Registration:
        """Call `cb(fileno)` in the hub while it is ready, until `remove()`. Does not park.

        `tb(exception)` is called instead when it is closed.
        """
        return _Registration(self, evtype, fileno, cb, tb, mark_as_closed)

    def remove(self, listener: _Registration) -> None:
        """Take back what `add` returned. Does not park."""
        listener.remove()

    def get_readers(self) -> list[Listener]:
        """Who waits to read, now."""
        return [
            Listener(READ, fd, waiter)
            for fd, watch in list(self.core.watches.items())
            for waiter in (watch.reader, *(watch.more_readers or ()))
            if waiter is not None
        ]

    def get_writers(self) -> list[Listener]:
        """Who waits to write, now."""
        return [
            Listener(WRITE, fd, waiter)
            for fd, watch in list(self.core.watches.items())
            for waiter in (watch.writer, *(watch.more_writers or ()))
            if waiter is not None
        ]

    @property
    def timers(self) -> list[core.Timer]:
        """The timers that are set."""
        return [entry[-1] for entry in self.core.timers.heap if entry[-1].pending]

    def get_timers_count(self) -> int:
        """How many timers are set."""
        return len(self.timers)

    def notify_close(self, fileno: int) -> None:
        """Say that a descriptor was closed: who waits for it is told. Does not park."""
        watch = self.core.watches.get(fileno)
        if watch is not None:
            watch.close()

    # A descriptor that was opened had been closed, if anybody still waits for its number.
    mark_as_reopened = notify_close

    def set_timer_exceptions(self, value: bool) -> None:
        """Print, or not, what callbacks raise."""
        self.debug_exceptions = value

    def set_debug_listeners(self, value: bool) -> None:
        """Nothing: who waits is always known."""

    def protect(self, call: Callable[[], Any]) -> None:
        """Call it in the hub, which goes on whatever it raises."""
        try:
            call()
        except self.SYSTEM_EXCEPTIONS:
            raise
        except BaseException:  # noqa: BLE001 - one callback must not end the loop; it is told
            if self.debug_exceptions:
                traceback.print_exc(file=sys.stderr)


class _Slot(thread_local):
    hub: Hub | None = None


_slot = _Slot()


def get_hub() -> Hub:
    """This native thread's hub. Does not park."""
    hub = core.current_hub()
    known = _slot.hub
    if known is None or known.core is not hub:
        known = _slot.hub = Hub(hub)
    return known


def get_default_hub() -> type[Hub]:
    """The only hub there is."""
    return Hub


def use_hub(mod: object = None) -> None:
    """Accept what Eventlet has (None, or a name such as "epolls"). Does not park.

    Raises `HubError` for anything else, such as a hub of the program's own.
    """
    name = mod.removeprefix("eventlet.hubs.") if isinstance(mod, str) else mod
    if name is not None and name is not Hub and name not in _KNOWN:
        raise HubError(f"there is no hub {mod!r}: Verdant has one of its own, for every system")


def trampoline(
    fd: Any,
    read: bool | None = None,
    write: bool | None = None,
    timeout: float | None = None,
    timeout_exc: BaseException | type[BaseException] = Timeout,
    mark_as_closed: Callable[[], Any] | None = None,
) -> None:
    """Wait until `fd`, a descriptor or what has one, can be read or written. Parks.

    Raises `timeout_exc` after `timeout` seconds, `IOClosed` when it is closed meanwhile, and
    RuntimeError in the hub itself, or for both directions at once.
    """
    if getcurrent() is core.current_hub().greenlet:
        raise RuntimeError("do not call blocking functions from the mainloop")
    if bool(read) == bool(write):
        raise RuntimeError("trampoline for reading or for writing, one of them")
    fileno: int = fd if isinstance(fd, int) else fd.fileno()
    with core.Timeout(timeout, timeout_exc):
        wait_for_events(fileno, _MASKS[READ if read else WRITE])
    if _is_closed(fileno):
        if mark_as_closed is not None:
            mark_as_closed()
        raise _closed()


def notify_close(fd: int) -> None:
    """Say that a descriptor was closed: who waits for it is told. Does not park."""
    get_hub().notify_close(fd)


def notify_opened(fd: int) -> None:
    """Say that a descriptor was opened: who still waits for its number is told. Does not park."""
    get_hub().mark_as_reopened(fd)


def _is_closed(fd: int) -> bool:
    try:
        os.fstat(fd)
    except OSError as exc:
        return exc.errno == errno.EBADF
    return False


def _closed() -> IOClosed:
    return IOClosed(errno.ENOTCONN, "Operation on closed file")
