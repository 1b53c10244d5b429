"""Poll bits: the events that a poller reports, and what may be watched at all.

Place     core; the pollers speak in these bits, loops.py (and its C twin) reads them. Pure but for
          one look at a descriptor.
Promise   the numbers are Linux's for poll(2) and epoll(7), so on Linux nothing is translated.
Not here  polling (poller.py and its siblings).
"""

from __future__ import annotations

import errno
import os
import stat

__all__ = [
    "ERR",
    "GONE",
    "HUP",
    "IN",
    "OUT",
    "PRI",
    "RDHUP",
    "READABLE",
    "WRITABLE",
    "refuse_files",
]

IN = 0x1
PRI = 0x2
OUT = 0x4
ERR = 0x8
HUP = 0x10
RDHUP = 0x2000

# After one of these the descriptor stays readable for good: data and FIN may come in one edge and
# no second one follows. PRI counts too: a receive stops short at TCP's urgent mark.
GONE = HUP | ERR | RDHUP | PRI
READABLE = IN | GONE
WRITABLE = OUT | HUP | ERR


def refuse_files(fd: int) -> None:
    """Raise OSError as epoll does: EBADF for no descriptor, EPERM for what never blocks."""
    mode = os.fstat(fd).st_mode
    if stat.S_ISREG(mode) or stat.S_ISDIR(mode):
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))
