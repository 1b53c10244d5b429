"""Wake-up: end a hub's poll from a signal or from another native thread.

Place     core; hub.py polls the reading end, whoever has news for the hub writes to the other.
Promise   a wake-up that is under way while the hub closes never writes to a descriptor that has
          meanwhile become somebody else's.
Not here  what there is to do (the hub's queue of foreign calls).

A pipe, not an eventfd: `signal.set_wakeup_fd` writes single bytes, which an eventfd refuses.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from verdant.core.originals import close, read, set_wakeup_fd, write

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Wakeup"]

# Bytes taken from the pipe at once; each byte is one wake-up, all of them mean the same.
READ_BYTES = 4096


class _End:
    # One end of the pipe. It is closed when nobody holds it any more, so that a native thread
    # which is just about to write to it keeps it open: a lock could not say so much, since a
    # signal handler may run in the middle of its holder.

    __slots__ = ("fd",)

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def __del__(self) -> None:
        close(self.fd)


class Wakeup:
    """The pipe of one hub. `read_fd` becomes readable by `wake()` and by signals."""

    __slots__ = ("_reading", "_writing", "listeners", "read_fd")

    def __init__(self) -> None:
        reading, writing = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._reading: _End | None = _End(reading)
        self._writing: _End | None = _End(writing)
        self.read_fd = reading
        # Called by the hub after a signal with a handler written in Python, which has run by then.
        self.listeners: list[Callable[[], object]] = []
        self.hear_signals()

    def hear_signals(self) -> bool:
        """Let signals make `read_fd` readable, unless somebody else is told of them already.

        Returns True when they do.
        """
        end = self._writing
        if end is None:
            return False
        try:
            # A signal then ends the poll, and what its handler made ready runs at once. Raises
            # ValueError outside the main thread, which never sees signals anyway.
            previous = set_wakeup_fd(end.fd, warn_on_full_buffer=False)
            if previous not in (-1, end.fd):
                # Somebody else's: its owner reads it, and handlers still run.
                set_wakeup_fd(previous)
                return False
        except ValueError:
            return False
        return True

    @property
    def is_open(self) -> bool:
        """False once it was closed."""
        return self._writing is not None

    def wake(self) -> None:
        """Make `read_fd` readable. From any native thread; does nothing once closed."""
        end = self._writing
        if end is None:
            return
        try:
            write(end.fd, b"\0")
        except BlockingIOError:
            # The pipe is full of wake-ups already: one more would say nothing new.
            return

    def drain(self) -> bool:
        """Take every wake-up out. Returns True when a signal was among them. In the hub."""
        signalled = False
        try:
            while True:
                data = read(self.read_fd, READ_BYTES)
                # The interpreter writes the signal's number, and we write zeros.
                signalled = signalled or data.count(0) < len(data)
                if len(data) < READ_BYTES:
                    return signalled
        except BlockingIOError:
            return signalled

    def close(self) -> None:
        """Give both ends back. Later wake-ups do nothing."""
        end = self._writing
        if end is None:
            return
        self._reading = self._writing = None
        try:
            previous = set_wakeup_fd(-1)
            if previous not in (-1, end.fd):
                set_wakeup_fd(previous)
        except (ValueError, OSError):
            # Not the main thread, so it was never told of this pipe; or, in a forked child, it was
            # told of one that has gone with the native thread that was the main one.
            return
