"""Serving: one part of the stack as a process of its own, from ready to drained.

Place     cli; `verdant balancer` and `verdant logs serve` run it, `verdant up` starts those.
Promise   SIGTERM and SIGINT end it in order, exit code 0. A process that was started by another
          ends with it, whatever killed that one.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import socket
from typing import TYPE_CHECKING

from verdant.balancer import AccessRecord, BalancerService
from verdant.cli.peers import configured_peers
from verdant.cli.privileges import become
from verdant.cli.unraisable import keep_strangers_quiet
from verdant.logs import Record, Shipper, Spool
from verdant.sync import Event

if TYPE_CHECKING:
    from collections.abc import Callable

    from verdant.cli.config import StackConfig
    from verdant.logs import LogServerConfig

__all__ = ["end_with_parent", "serve_balancer", "serve_logs", "wait_for_signal"]

# prctl(2).
_PR_SET_PDEATHSIG = 1

# Mantrid's figure: ten thousand clients, their backends, and room.
FILES_MAX = 102_400

# What the last access-log lines get to reach a server; the whole stack stops within five seconds.
FLUSH_S = 1.0


def end_with_parent(parent_pid: int) -> None:
    """Get SIGTERM when the process `parent_pid` ends; at once if it has ended already."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent_pid:
        os.kill(os.getpid(), signal.SIGTERM)


def wait_for_signal(ready: Callable[[], object]) -> None:
    """Call `ready()`, then wait for SIGTERM or SIGINT. Parks."""
    stop = Event()

    def on_signal(_number: int, _frame: object) -> None:
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, on_signal)
    ready()
    stop.wait()


def serve_balancer(config: StackConfig, ready: Callable[[], object]) -> None:
    """Run the balancer, its access log shipped to the configured log servers. Parks."""
    _raise_file_limit()
    keep_strangers_quiet()
    shipper: Shipper | None = None
    note: Callable[[AccessRecord], object] | None = None
    if config.logs.server:
        spool = Spool(f"balancer@{socket.gethostname()}")
        peers = configured_peers(config.logs, "collect")
        shipper = Shipper(spool, peers.endpoints, peers.security)
        note = _access_sink(spool, config.logs.access_app)
    balancer = config.balancer
    service = BalancerService(balancer, note)
    if balancer.user is not None:
        become(balancer.user, balancer.group, balancer.state_dir)
    if shipper is not None:
        shipper.start()
    service.start()
    try:
        wait_for_signal(ready)
    finally:
        service.stop()
        if shipper is not None:
            shipper.stop(FLUSH_S)


def _raise_file_limit() -> None:
    # A connection is a descriptor, a proxied one two: the usual soft limit of 1024 is 500 clients.
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES_MAX if hard == resource.RLIM_INFINITY else min(FILES_MAX, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _access_sink(spool: Spool, app: str) -> Callable[[AccessRecord], object]:
    host = socket.gethostname()

    def note(record: AccessRecord) -> None:
        level = "INFO" if record.status < 500 else "ERROR"
        message = f"{record.method} {record.host}{record.target} {record.status}"
        fields = record._asdict()
        time_ns = fields.pop("time_ns")
        spool.put(Record(time_ns, app, host, level, message, fields))

    return note


def serve_logs(config: LogServerConfig, ready: Callable[[], object]) -> None:
    """Run one log server. Parks."""
    # The store's libraries take a second to import; only this process needs them.
    from verdant.logs.server import LogService

    service = LogService(config)
    service.start()
    try:
        wait_for_signal(ready)
    finally:
        service.stop()
