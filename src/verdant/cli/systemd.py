"""Systemd: the sockets that it opened for us, and what it wants to hear.

Place     cli; `verdant balancer` alone. Plain environment and a datagram, no library: the protocols
          are sd_listen_fds(3) and sd_notify(3).
Promise   without systemd nothing happens. The variables are taken out of the environment, so that
          no child takes them for its own.
"""

from __future__ import annotations

import contextlib
import os
import socket as _stdlib
import time

from verdant.core import GreenThread, sleep, spawn
from verdant.green.socket import socket

__all__ = ["Notifier", "activated_sockets"]

# sd_listen_fds(3): SD_LISTEN_FDS_START.
FIRST_FD = 3
# A change of state is worth a second of trying; after that the service manager is not well.
TRIES = 20
TRY_AGAIN_S = 0.05


def activated_sockets() -> list[socket]:
    """The listening sockets that this process was started with. Does not park."""
    pid = os.environ.pop("LISTEN_PID", "")
    count = os.environ.pop("LISTEN_FDS", "")
    os.environ.pop("LISTEN_FDNAMES", None)
    if pid != str(os.getpid()) or not count.isdecimal():
        return []
    found = []
    for fd in range(FIRST_FD, FIRST_FD + int(count)):
        os.set_inheritable(fd, False)
        found.append(socket(fileno=fd))
    return found


class Notifier:
    """Tells the service manager what we do."""

    def __init__(self) -> None:
        self._address = os.environ.pop("NOTIFY_SOCKET", "")
        interval = os.environ.pop("WATCHDOG_USEC", "")
        pid = os.environ.pop("WATCHDOG_PID", str(os.getpid()))
        ours = interval.isdecimal() and pid == str(os.getpid())
        self._watchdog_s = int(interval) / 1e6 if ours else 0.0
        self._thread: GreenThread[None] | None = None

    def ready(self) -> None:
        """We serve. Begins to keep the watchdog quiet, if there is one. May park for a second."""
        self._tell("READY=1")
        if self._watchdog_s and self._thread is None:
            self._thread = spawn(self._keep_quiet, name="watchdog")

    def reloading(self) -> None:
        """A restart of the workers begins; `ready()` ends it."""
        self._tell(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        """We end."""
        self._tell("STOPPING=1")

    def _keep_quiet(self) -> None:
        # A green thread: it proves that the hub runs. Half the interval is what sd_notify(3) asks.
        while True:
            self._tell("WATCHDOG=1", tries=1)
            sleep(self._watchdog_s / 2)

    def _tell(self, text: str, tries: int = TRIES) -> None:
        if not self._address:
            return
        address = self._address
        if address.startswith("@"):
            address = "\0" + address[1:]
        # A service manager that is gone, or does not read, is no reason to serve nobody.
        with (
            contextlib.suppress(OSError),
            _stdlib.socket(_stdlib.AF_UNIX, _stdlib.SOCK_DGRAM) as sock,
        ):
            sock.setblocking(False)
            for left in reversed(range(tries)):
                try:
                    sock.sendto(text.encode(), address)
                except BlockingIOError:
                    # Its queue is full, of ten notices by default (net.unix.max_dgram_qlen).
                    if left:
                        sleep(TRY_AGAIN_S)
                else:
                    return
