"""Serving: one part of the stack as a process of its own, from ready to drained.

Place     cli; `verdant balancer` and `verdant logs serve` run it, `verdant up` starts those.
Promise   SIGTERM and SIGINT end it in order, exit code 0. A process that was started by another
          ends with it, whatever killed that one.
"""

from __future__ import annotations

import contextlib
import ctypes
import logging
import os
import signal
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import msgspec

from verdant.balancer import AccessRecord, Supervisor, WorkerOrders, WorkerProcess
from verdant.cli.config import LogsConfig  # noqa: TC001 - msgspec reads it
from verdant.cli.peers import configured_peers
from verdant.cli.privileges import become, raise_file_limit
from verdant.cli.systemd import Notifier, activated_sockets
from verdant.cli.unraisable import keep_strangers_quiet
from verdant.core import spawn, watch_fd
from verdant.errors import VerdantError
from verdant.green.signal import on_signal
from verdant.logs import Record, Shipper, Spool
from verdant.sync import Event

if TYPE_CHECKING:
    from collections.abc import Callable

    from verdant.balancer import BalancerConfig, Launch
    from verdant.cli.config import StackConfig
    from verdant.logs import LogServerConfig

__all__ = ["end_with_parent", "serve_balancer", "serve_logs", "serve_worker", "wait_for_signal"]

_log = logging.getLogger("verdant.balancer")

# prctl(2).
_PR_SET_PDEATHSIG = 1

# What the last access-log lines get to reach a server; the whole stack stops within five seconds.
FLUSH_S = 1.0


def end_with_parent(parent_pid: int) -> None:
    """Get SIGTERM when the process `parent_pid` ends; at once if it has ended already."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent_pid:
        os.kill(os.getpid(), signal.SIGTERM)


def wait_for_signal(
    ready: Callable[[], object], on_hangup: Callable[[], object] | None = None
) -> None:
    """Call `ready()`, then wait for SIGTERM or SIGINT; SIGHUP runs `on_hangup()`. Parks."""
    stop = Event()

    def end(_number: int, _frame: object) -> None:
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    if on_hangup is not None:
        on_signal(signal.SIGHUP, on_hangup)
    ready()
    stop.wait()


def serve_balancer(
    config: StackConfig, ready: Callable[[], object], reload: Callable[[], StackConfig]
) -> None:
    """Run the balancer's supervisor and its workers. Parks.

    SIGHUP replaces the workers by some of the configuration that `reload()` gives then.
    """
    raise_file_limit()
    notifier = Notifier()
    balancer = config.balancer
    user = balancer.user

    def give_up_root() -> None:
        if user is not None:
            become(user, balancer.group, balancer.state_dir)

    supervisor = Supervisor(
        balancer, _launcher(config), activated=activated_sockets(), before_state=give_up_root
    )

    def load() -> tuple[BalancerConfig, Launch]:
        loaded = reload()
        return loaded.balancer, _launcher(loaded)

    def restart() -> None:
        notifier.reloading()
        try:
            supervisor.restart(load)
        except VerdantError as exc:
            _log.warning("the workers are as before: %s", exc)
        notifier.ready()

    def when_serving() -> None:
        ready()
        notifier.ready()

    try:
        supervisor.start()
        wait_for_signal(when_serving, restart)
    finally:
        notifier.stopping()
        supervisor.stop()


def _launcher(config: StackConfig) -> Launch:
    logs = msgspec.to_builtins(config.logs)

    def launch(orders: WorkerOrders, descriptors: list[int]) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [sys.executable, "-m", "verdant.cli.main", "balancer-worker", str(orders.number)],
            pass_fds=descriptors,
            stdin=subprocess.PIPE,
            # Ctrl-C on a terminal is for the supervisor, which ends us in order.
            start_new_session=True,
        )
        document = msgspec.json.encode({"orders": orders, "logs": logs})
        assert process.stdin is not None
        # A worker that is gone already is found by whoever watches it.
        with contextlib.suppress(OSError):
            process.stdin.write(document + b"\n")
            process.stdin.flush()
        return process

    return launch


class _Start(msgspec.Struct, frozen=True):
    """What a worker reads from its standard input."""

    orders: WorkerOrders
    logs: LogsConfig


def serve_worker() -> None:
    """Be a worker of a balancer, by the orders on standard input, until that is closed. Parks."""
    logging.basicConfig(level=logging.WARNING, format="verdant: %(message)s")
    keep_strangers_quiet()
    text = b""
    while not text.endswith(b"\n"):
        piece = os.read(0, 65536)
        if not piece:
            # The supervisor has ended, so there is nothing to serve.
            return
        text += piece
    start = msgspec.json.decode(text, type=_Start)
    shipper, note = _access_shipper(start.logs, f"balancer-{start.orders.number}")
    worker = WorkerProcess(start.orders, note)
    for number in (signal.SIGTERM, signal.SIGINT):
        on_signal(number, worker.drain)
    spawn(_drain_without_supervisor, worker, name="watch the supervisor")
    if shipper is not None:
        shipper.start()
    try:
        worker.run()
    finally:
        if shipper is not None:
            shipper.stop(FLUSH_S)


def _drain_without_supervisor(worker: WorkerProcess) -> None:
    # It says nothing more; the pipe ends with it, however it ended.
    os.set_blocking(0, False)
    watch_fd(0).wait_readable()
    worker.drain()


def _access_shipper(
    logs: LogsConfig, client: str
) -> tuple[Shipper | None, Callable[[AccessRecord], object] | None]:
    if not logs.server:
        return None, None
    spool = Spool(f"{client}@{socket.gethostname()}")
    peers = configured_peers(logs, "collect")
    return Shipper(spool, peers.endpoints, peers.security), _access_sink(spool, logs.access_app)


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
