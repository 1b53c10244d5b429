"""Os: the stdlib's `os.read`, `os.write` and `os.waitpid`, which park the green thread.

Place     green, on select.py; what those names become under `monkey_patch()`.
Promise   a pipe, socket or terminal that is not ready keeps its green thread only. A descriptor
          that is set non-blocking answers at once, as always.
Not here  regular files: a disk cannot be waited for, so they are read and written natively; use
          `run_in_worker` where that takes long.

The flag O_NONBLOCK belongs to the open file, which a child process may share, so it is never
changed: readiness is asked for first, and what is written at once is small enough to fit.
"""

from __future__ import annotations

import os as _stdlib
import select as _select
import stat
from typing import TYPE_CHECKING

from verdant.core import run_in_worker
from verdant.green.select import wait_for_events
from verdant.green.waiting import may_park

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

__all__ = ["read", "waitpid", "write"]

_read = _stdlib.read
_write = _stdlib.write
_waitpid = _stdlib.waitpid
_poll = _select.poll

# A pipe that is ready to be written has room for this many bytes (POSIX), and so do sockets and
# terminals in practice: more at once could block.
WRITE_BYTES_MAX = _select.PIPE_BUF


def read(fd: int, length: int, /) -> bytes:
    """As `os.read`. Parks until there is something to read."""
    _wait(fd, _select.POLLIN)
    return _read(fd, length)


def write(fd: int, data: ReadableBuffer, /) -> int:
    """As `os.write`. Parks until `data` is written.

    Interrupted, it leaves a part of `data` written, as a signal does in the stdlib.
    """
    if not may_park():
        return _write(fd, data)
    view = memoryview(data).cast("B")
    if len(view) <= WRITE_BYTES_MAX:
        _wait(fd, _select.POLLOUT)
        return _write(fd, view)
    if stat.S_ISREG(_stdlib.fstat(fd).st_mode) or not _stdlib.get_blocking(fd):
        return _write(fd, view)
    written = 0
    while written < len(view):
        _wait(fd, _select.POLLOUT)
        try:
            written += _write(fd, view[written : written + WRITE_BYTES_MAX])
        except OSError:
            if written:
                # The next write will say what is wrong.
                return written
            raise
    return written


def _wait(fd: int, mask: int) -> None:
    if fd < 0 or not may_park():
        # Negative: the call itself says what is wrong.
        return
    asked = _poll()
    asked.register(fd, mask)
    # Most descriptors are ready; then this is the only extra call.
    if not asked.poll(0) and _stdlib.get_blocking(fd):
        wait_for_events(fd, mask)


def waitpid(pid: int, options: int, /) -> tuple[int, int]:
    """As `os.waitpid`. Parks until the child has ended.

    By its pidfd where that tells enough; otherwise (any child of a group, stopped children) in a
    worker thread, which goes on waiting when this green thread is interrupted.
    """
    if options & _stdlib.WNOHANG or not may_park():
        return _waitpid(pid, options)
    if pid > 0 and options == 0:
        try:
            fd = _stdlib.pidfd_open(pid)
        except OSError:
            # No such child, or a kernel without pidfds: waitpid itself knows which.
            return run_in_worker(_waitpid, pid, options)
        try:
            # Readable once the child has ended, collected or not.
            wait_for_events(fd, _select.POLLIN)
        finally:
            _stdlib.close(fd)
        return _waitpid(pid, options)
    return run_in_worker(_waitpid, pid, options)
