"""Garbage: pyzmq's collector of zero-copy messages stays a native thread under every patch.

Place     zmq; the door calls `keep_collector_native` when it is imported. Touches one name of
          pyzmq's `zmq.utils.garbage`.
Promise   `send(copy=False)` of a large message works after `monkey_patch()` as before it.

pyzmq starts a `threading.Thread` at the first such message, and that thread blocks in a plain
receive for as long as the process lives. Patched, it would be a green thread that blocks the hub,
with the sender waiting for it to begin: the program stands still at once. The loop itself is
pyzmq's, only what it runs in is made here, of the primitives that no patch replaces.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from zmq.utils import garbage

from verdant.core.originals import allocate_lock, start_new_thread

if TYPE_CHECKING:
    from zmq.utils.garbage import GarbageCollector

__all__ = ["keep_collector_native"]

_Body = garbage.GarbageCollectorThread


class _Flag:
    """A native event that is set once."""

    def __init__(self) -> None:
        self._unset = allocate_lock()
        self._unset.acquire()

    def is_set(self) -> bool:
        return not self._unset.locked()

    def set(self) -> None:
        if self._unset.locked():
            self._unset.release()

    def wait(self, timeout_s: float | None = None) -> bool:
        if self._unset.acquire(True, -1 if timeout_s is None else timeout_s):
            self._unset.release()
        return self.is_set()


class NativeCollectorThread:
    """What pyzmq asks of its collector's thread, in a thread that no patch makes green."""

    def __init__(self, gc: GarbageCollector) -> None:
        self._body = _Body(gc)
        self._ended = _Flag()
        self.ready = self._body.ready = _Flag()  # type: ignore[assignment] # an event by its shape
        self._started = False

    def start(self) -> None:
        """Begin. Does not park."""
        self._started = True
        start_new_thread(self._run, ())

    def _run(self) -> None:
        try:
            self._body.run()
        finally:
            self._ended.set()

    def is_alive(self) -> bool:
        """True while it runs. Does not park."""
        return self._started and not self._ended.is_set()

    def join(self, timeout: float | None = None) -> None:
        """Wait for its end, natively: it ends as soon as it is told to. Does not park."""
        self._ended.wait(timeout)


def keep_collector_native() -> None:
    """Let pyzmq's collector run in a native thread from now on. Does not park."""
    garbage.GarbageCollectorThread = NativeCollectorThread  # type: ignore[misc,assignment] # by shape
    # It guards the start of that thread, from native threads too.
    garbage.gc._lock = allocate_lock()  # noqa: SLF001
