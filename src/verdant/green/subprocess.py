"""Subprocess: the stdlib's `Popen`, whose `wait` and `communicate` park the green thread.

Place     green. Under `monkey_patch()` the stdlib's own class gets `wait_for_child` as its wait and
          talks to its pipes through green selectors and files; the class stays what it is.
Promise   the child's end wakes the waiter: there is no polling. Timeouts raise TimeoutExpired.
Not here  the pipes' file objects (files.py).
"""

from __future__ import annotations

import os
import subprocess as _stdlib
from select import POLLIN
from typing import Any, AnyStr, cast

from verdant.core import monotonic, run_in_worker
from verdant.green.files import reopened
from verdant.green.select import wait_for_events
from verdant.green.waiting import may_park

__all__ = ["Popen", "wait_for_child"]

_wait = cast("Any", _stdlib.Popen)._wait  # noqa: SLF001 - the hook below replaces it


def wait_for_child(self: _stdlib.Popen[Any], timeout: float | None) -> int:
    """As the stdlib's `Popen._wait`: collect the child's exit status. Parks.

    Raises `subprocess.TimeoutExpired` after `timeout` seconds.
    """
    deadline = None if timeout is None else monotonic() + timeout
    if not may_park() or self.poll() is not None:
        return cast("int", _wait(self, timeout))
    try:
        fd = os.pidfd_open(self.pid)
    except OSError:
        # A kernel without pidfds, or a child that somebody else has collected.
        return cast("int", _wait(self, timeout))
    try:
        while self.poll() is None:
            left_s = None if deadline is None else deadline - monotonic()
            if left_s is not None and left_s <= 0:
                raise _stdlib.TimeoutExpired(self.args, cast("float", timeout))
            # Readable once the child has ended; poll() collects it, unless another thread is at it.
            wait_for_events(fd, POLLIN, left_s)
    finally:
        os.close(fd)
    return cast("int", self.returncode)


class Popen(_stdlib.Popen[AnyStr]):
    """As `subprocess.Popen`, for programs that are not patched; waits and pipes park.

    `communicate` with more than one pipe runs in a worker thread, which goes on when the caller is
    interrupted.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - the stdlib's own
        super().__init__(*args, **kwargs)
        for name in ("stdin", "stdout", "stderr"):
            pipe = getattr(self, name)
            if pipe is not None:
                setattr(self, name, reopened(pipe))

    def _wait(self, timeout: float | None) -> int:
        return wait_for_child(self, timeout)

    def _communicate(self, *args: Any) -> Any:  # noqa: ANN401 - the stdlib's own parameters
        communicate = super()._communicate  # type: ignore[misc] # a hook typeshed does not list
        return run_in_worker(communicate, *args) if may_park() else communicate(*args)
