"""Semlock: the stdlib's `_multiprocessing.SemLock`, whose waits park the green thread.

Place     green, on thread.py; the locks, semaphores, conditions, queues and values of
          `multiprocessing` become green by standing on it.
Promise   a permit is shared with every process that knows the name, patched or not; whoever is
          interrupted while it waits takes none. A reentrant lock belongs to a green thread.
Not here  the rest of `multiprocessing`: pipes (os.py), `wait` (selectors.py), `fork` (core).

Nothing tells a poller that a POSIX semaphore can be taken, so a native thread stands in for the
green one. It stays for a second after its green thread was interrupted, and gives back what it may
still get. Green threads of one process wait for each other first, so that one stand-in is enough.

    green thread ──▶ turn (a green lock) ──▶ semaphore free? ──▶ no: stand-in waits ──▶ wakes us
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, ClassVar, Protocol, Self, cast

from verdant.core import monotonic
from verdant.core.originals import allocate_lock, start_new_thread
from verdant.green.thread import Lock, get_ident
from verdant.green.waiting import Waiter, may_park, new_waiter

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["SemLock"]


class _Native(Protocol):
    """What the stdlib's C offers; it has no stub."""

    handle: int
    maxvalue: int
    name: str | None

    def acquire(self, block: bool, timeout: float | None = None, /) -> bool: ...

    def release(self) -> None: ...

    def _get_value(self) -> int: ...

    def _is_zero(self) -> bool: ...


class _NativeMaker(Protocol):
    SEM_VALUE_MAX: int

    def __call__(
        self, kind: int, value: int, maxvalue: int, name: str, unlink: bool
    ) -> _Native: ...

    def _rebuild(self, handle: int, kind: int, maxvalue: int, name: str | None) -> _Native: ...


_SemLock = cast("_NativeMaker", import_module("_multiprocessing").SemLock)

# As in the stdlib's C; the other kind counts permits.
RECURSIVE_MUTEX = 0
SEMAPHORE = 1

# Seconds between two looks whether the green thread still waits.
SLICE_S = 1.0


class _StandIn:
    """A native thread that takes a permit of `native` for one green thread."""

    def __init__(self, native: _Native, timeout_s: float | None) -> None:
        self._native = native
        self._deadline = None if timeout_s is None else monotonic() + timeout_s
        # Guards the two below: a permit must not come in between a look and a farewell.
        self._guard = allocate_lock()
        self._taken = False
        self._abandoned = False
        self._waiter: Waiter = new_waiter()

    def take(self) -> bool:
        """Wait for a permit. False when there was none in time. Parks."""
        start_new_thread(self._run, ())
        try:
            # Woken by _run().
            self._waiter.wait(None)
        except BaseException:
            with self._guard:
                self._abandoned = True
                taken = self._taken
            if taken:
                self._native.release()
            raise
        return self._taken

    def _run(self) -> None:
        # In the native thread.
        while self._is_wanted():
            left_s = SLICE_S if self._deadline is None else self._deadline - monotonic()
            taken = self._native.acquire(True, max(0.0, min(SLICE_S, left_s)))
            if not taken and (self._deadline is None or left_s > SLICE_S):
                continue
            if not self._deliver(taken) and taken:
                self._native.release()
            return

    def _is_wanted(self) -> bool:
        return not self._abandoned

    def _deliver(self, taken: bool) -> bool:
        with self._guard:
            if self._abandoned:
                return False
            self._taken = taken
            self._waiter.wake()
            return True


class SemLock:
    """As `_multiprocessing.SemLock`: a named permit counter, or a reentrant lock made of one."""

    SEM_VALUE_MAX: ClassVar[int] = _SemLock.SEM_VALUE_MAX

    def __init__(self, kind: int, value: int, maxvalue: int, name: str, unlink: bool) -> None:
        if kind not in (RECURSIVE_MUTEX, SEMAPHORE):
            raise ValueError("unrecognized kind")
        # Always the kind that counts: the other one knows native threads only.
        self._adopt(_SemLock(SEMAPHORE, value, maxvalue, name, unlink), kind)

    def _adopt(self, native: _Native, kind: int) -> None:
        self._native = native
        self.kind = kind
        self._turn = Lock()
        # The last to take it here, and how often it did. For a reentrant lock: the owner's.
        self._owner: int | None = None
        self._taken = 0

    @classmethod
    def _rebuild(cls, handle: int, kind: int, maxvalue: int, name: str | None) -> Self:
        self = cls.__new__(cls)
        self._adopt(_SemLock._rebuild(handle, SEMAPHORE, maxvalue, name), kind)  # noqa: SLF001 - the stdlib's own way
        return self

    @property
    def handle(self) -> int:
        """As in the stdlib."""
        return self._native.handle

    @property
    def maxvalue(self) -> int:
        """As in the stdlib."""
        return self._native.maxvalue

    @property
    def name(self) -> str | None:
        """As in the stdlib."""
        return self._native.name

    def acquire(self, block: bool = True, timeout: float | None = None) -> bool:
        """As in the stdlib. Parks while there is no permit."""
        me = get_ident()
        if self.kind == RECURSIVE_MUTEX and self._taken and self._owner == me:
            self._taken += 1
            return True
        if not self._take(block, timeout):
            return False
        self._owner = me
        self._taken += 1
        return True

    def _take(self, block: bool, timeout: float | None) -> bool:
        native = self._native
        # Nobody of ours may come before one who waits already.
        if not self._turn.locked() and native.acquire(False):
            return True
        if not block or (timeout is not None and timeout <= 0):
            return False
        if not may_park():
            return native.acquire(True, timeout)
        deadline = None if timeout is None else monotonic() + timeout
        if not self._turn.acquire(True, -1 if timeout is None else timeout):
            return False
        try:
            if native.acquire(False):
                return True
            return _StandIn(native, None if deadline is None else deadline - monotonic()).take()
        finally:
            self._turn.release()

    def release(self) -> None:
        """As in the stdlib. Does not park."""
        if self.kind == RECURSIVE_MUTEX:
            if not self._is_mine():
                raise AssertionError("attempt to release recursive lock not owned by thread")
            if self._taken > 1:
                self._taken -= 1
                return
        # Before the permit is free: the next one to take it may be another thread of ours.
        self._taken -= 1
        try:
            self._native.release()
        except ValueError:
            self._taken += 1
            raise

    def _count(self) -> int:
        return self._taken

    def _is_mine(self) -> bool:
        return self._taken > 0 and self._owner == get_ident()

    def _get_value(self) -> int:
        return self._native._get_value()  # noqa: SLF001 - the stdlib's own way

    def _is_zero(self) -> bool:
        return self._native._is_zero()  # noqa: SLF001 - the stdlib's own way

    def _after_fork(self) -> None:
        self._taken = 0
        self._turn = Lock()

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(
        self,
        kind: type[BaseException] | None = None,
        exc: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        self.release()
