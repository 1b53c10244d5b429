"""Supervisor: keeps a balancer's workers running, replaces them, and has everything they share.

Place     balancer; the command line runs it, and says how a worker's process is launched. It has
          the store, the management API, the listening sockets, the wake notices and the sums.
Promise   a worker that ends by itself is replaced at once; one that fails at its start again and
          again, slower each time. `restart()` has all workers of the new configuration serve
          before the first old one stops, or changes nothing. `stop()` ends all.
Not here  what workers are told (crew.py), signals and exit codes (cli/).
"""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import signal
from typing import TYPE_CHECKING, Protocol

from verdant.balancer.api import Access, ChangePublisher, ManagementApi
from verdant.balancer.certificates import Certificates
from verdant.balancer.crew import FeedCrew, Member
from verdant.balancer.errors import RestartRefused, WorkerFailed
from verdant.balancer.held_hosts import HeldHosts
from verdant.balancer.listeners import Listeners
from verdant.balancer.rulebook import Rulebook
from verdant.balancer.service import MANAGEMENT_CONNECTIONS_MAX
from verdant.balancer.state import State
from verdant.balancer.supervisor_note import SupervisorNote
from verdant.balancer.wake import Waker
from verdant.balancer.worker_process import WorkerOrders
from verdant.core import monotonic, run_in_worker, sleep, spawn, watch_fd
from verdant.errors import TimedOut
from verdant.http import HttpServer
from verdant.net import bound_address, listen
from verdant.sync import Event, Lock
from verdant.wsgi import wsgi_handler

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterable

    from verdant.address import TcpAddress, UnixAddress
    from verdant.balancer.config import BalancerConfig
    from verdant.balancer.stores import StateStore
    from verdant.green.socket import socket

__all__ = ["Launch", "Supervisor"]

# Imports, and all rules: a million take some seconds.
READY_S_MAX = 60.0
PAUSE_S_MIN = 0.2
PAUSE_S_MAX = 5.0
# Beyond a drain: its last report, its last log lines.
END_S = 1.2
# How long a connection without a request may go on in a worker that is being replaced: browsers
# and pools that are at work send one within seconds, and are told on its answer to come anew.
IDLE_S = 5.0


class Launch(Protocol):
    """Starts a worker's process with these orders; it inherits the descriptors."""

    def __call__(self, orders: WorkerOrders, descriptors: list[int], /) -> subprocess.Popen[bytes]:
        """The process. Does not park."""
        ...


class _Process:
    """A worker: its process and its place in the feed."""

    def __init__(
        self, number: int, generation: int, process: subprocess.Popen[bytes], member: Member
    ) -> None:
        self.number = number
        self.generation = generation
        self.process = process
        self.member = member
        self.leaving = False
        self.ended = Event()


class Supervisor:
    """A balancer of several processes. `activated`: listening sockets that are open already.

    Opening binds every listener and reads the rules; raises `AddressUnusable`, `StateError`,
    `BadCertificate` for a directory of certificates that is none, `ConfigurationError` for a token
    file. `before_state()` is called between the two: the moment to give up root.
    """

    def __init__(
        self,
        config: BalancerConfig,
        launch: Launch,
        *,
        activated: Iterable[socket] = (),
        before_state: Callable[[], object] = lambda: None,
        store: StateStore | None = None,
    ) -> None:
        self.config = config
        self._launch = launch
        self._listeners = Listeners(activated)
        with contextlib.ExitStack() as opened:
            opened.callback(self._listeners.close_others, ())
            self._listeners.open(_addresses(config), config.worker_count)
            managements = [
                opened.enter_context(contextlib.closing(listen(address)))
                for address in (config.management, *config.bind_management)
            ]
            # Here for their faults, and for the check; each worker has its own.
            self._certificates = Certificates.of(config.tls) if config.tls.bind else None
            access = Access(config.tokens)
            self._waker = Waker(config.wake)
            opened.callback(self._waker.close)
            self._publisher = ChangePublisher(config.feed)
            opened.callback(self._publisher.close)
            before_state()
            self._state = State(config.state_dir) if store is None else store
            opened.callback(self._state.close)
            opened.pop_all()
        self._held = HeldHosts(self._waker.first_held, self._waker.none_held)
        self._crew = FeedCrew(self._state, self._held, self._end_late)
        self.rulebook = Rulebook(self._state, self._crew)
        self.management_address: TcpAddress | UnixAddress = bound_address(managements[0])
        self._api = ManagementApi(
            self.rulebook,
            access,
            metrics_hosts_max=config.metrics_hosts_max,
            ready=lambda: not self._stopping,
        )
        self._management = HttpServer(
            managements,
            wsgi_handler(self._api),
            connections_max=MANAGEMENT_CONNECTIONS_MAX,
            name="management connection",
        )
        self._note = SupervisorNote(config.state_dir)
        self._workers: list[_Process] = []
        self._generation = 0
        self._changing = Lock()
        self._stopping = False

    @property
    def addresses(self) -> list[TcpAddress | UnixAddress]:
        """Where clients connect."""
        return self._listeners.bound(self.config.bind)

    @property
    def worker_pids(self) -> list[int]:
        """The processes that serve, or are about to, by the number of the worker."""
        return [w.process.pid for w in self._workers if not w.leaving]

    def start(self) -> None:
        """Start every worker; returns when all serve. Parks. Raises `WorkerFailed`."""
        with self._changing:
            self._generation += 1
            try:
                self._start_generation(self.config)
            except BaseException:
                self._stopping = True
                self._kill(self._workers)
                raise
        self._management.start()
        self._publisher.start(self.rulebook.feed)
        if self._certificates is not None:
            spawn(self._certificates.check, name="certificate check")
        self._write_note("")

    def restart(self, load: Callable[[], tuple[BalancerConfig, Launch]]) -> None:
        """Replace all workers by some of the configuration that `load()` gives. Parks until those
        serve.

        The old ones finish what they have under way, in the background. Raises `RestartRefused`,
        `WorkerFailed`, `AddressUnusable`, `BadCertificate`, `ConfigurationError`; then everything
        is as before.
        """
        with self._changing:
            try:
                self._restart(*load())
            except Exception as exc:
                self._write_note(str(exc))
                raise
            self._write_note("")

    def _restart(self, config: BalancerConfig, launch: Launch) -> None:
        for name in ("management", "bind_management", "state_dir", "feed"):
            if getattr(config, name) != getattr(self.config, name):
                raise RestartRefused(
                    f"{name} changes only when the balancer is stopped and started again; "
                    "nothing has changed"
                )
        if config.tls.bind:
            Certificates.of(config.tls)
        # Files of tokens that are as before may be root's, who has been given up.
        same_tokens = config.tokens == self.config.tokens
        access = self._api.access if same_tokens else Access(config.tokens)
        waker = self._waker if config.wake == self.config.wake else Waker(config.wake)
        old, before = [w for w in self._workers if not w.leaving], (self.config, self._launch)
        try:
            self._listeners.open(_addresses(config), config.worker_count)
            self._generation += 1
            # Those that replace a worker meanwhile are of the new kind too.
            self.config, self._launch = config, launch
            self._start_generation(config)
        except BaseException:
            self.config, self._launch = before
            self._kill(w for w in self._workers if w.generation == self._generation)
            kept = {w.number for w in self._workers if not w.leaving}
            for number in {w.number for w in old} - kept:
                spawn(self._replace, number, name=f"replace worker {number}")
            if waker is not self._waker:
                waker.close()
            raise
        if waker is not self._waker:
            self._take_waker(waker)
        self._api.access, self._api.metrics_hosts_max = access, config.metrics_hosts_max
        for worker in old:
            worker.leaving = True
            self._crew.drain(worker.member, config.restart_drain_timeout_s, IDLE_S)
            spawn(self._see_off, worker, config.restart_drain_timeout_s + END_S, name="see off")
        # What waits in queues that are no longer configured was accepted or goes with them.
        self._listeners.close_others(_addresses(config))

    def _take_waker(self, waker: Waker) -> None:
        self._held.first_held, self._held.none_held = waker.first_held, waker.none_held
        self._waker, replaced = waker, self._waker
        for host in self._held.held():
            replaced.none_held(host)
            waker.first_held(host)
        replaced.close()

    def stop(self) -> None:
        """End all workers, within the drain time and a second. Parks."""
        self._stopping = True
        self._management.stop(0.5)
        grace_s = self.config.drain_timeout_s
        for worker in self._workers:
            worker.leaving = True
            self._crew.drain(worker.member, grace_s, 0.0)
        seen_off = [spawn(self._see_off, w, grace_s + END_S) for w in [*self._workers]]
        for thread in seen_off:
            thread.join()
        self._crew.close()
        self._publisher.close()
        self._waker.close()
        self._listeners.close_others(())
        self._note.remove()
        run_in_worker(self._state.close)

    # Processes

    def _start_generation(self, config: BalancerConfig) -> None:
        started = [self._start_worker(n) for n in range(1, config.worker_count + 1)]
        deadline = monotonic() + READY_S_MAX
        for worker in started:
            self._wait_until_serving(worker, deadline - monotonic())

    def _start_worker(self, number: int) -> _Process:
        config = self.config
        name = f"worker-{number}-{secrets.token_hex(8)}"
        count = config.worker_count
        external, tls, internal = (
            [sock.fileno() for sock in self._listeners.share(addresses, number, count)]
            for addresses in (config.bind, config.tls.bind, config.bind_internal)
        )
        orders = WorkerOrders(
            name,
            number,
            count,
            self._crew.endpoint,
            external,
            tls,
            internal,
            config,
        )
        member = self._crew.expect(name.encode("ascii"))
        # In this native thread, which is the process's first and lasts as long as it.
        try:
            process = self._launch(orders, external + tls + internal)
        except OSError as exc:
            self._crew.forget(member)
            raise WorkerFailed(
                f"worker {number} cannot be started as user {os.geteuid()}: {exc}"
            ) from exc
        worker = _Process(number, self._generation, process, member)
        self._workers.append(worker)
        spawn(self._watch, worker, name=f"watch worker {number}")
        return worker

    def _wait_until_serving(self, worker: _Process, timeout_s: float) -> None:
        member = worker.member
        if not member.accepting.wait(timeout_s):
            member.refused = f"it did not serve within {READY_S_MAX:g} s"
        if member.refused:
            raise WorkerFailed(f"worker {worker.number} is of no use: {member.refused}")

    def _watch(self, worker: _Process) -> None:
        self._wait_for_end(worker.process, None)
        if worker.process.stdin is not None:
            worker.process.stdin.close()
        self._workers.remove(worker)
        self._crew.forget(worker.member)
        worker.ended.set()
        if worker.leaving or self._stopping:
            return
        if not worker.member.serving:
            # Who started it hears of it, and decides.
            return
        _log.warning("worker %d ended (%s): replacing it", worker.number, _end_of(worker.process))
        self._replace(worker.number)

    def _replace(self, number: int) -> None:
        pause_s = PAUSE_S_MIN
        while not self._stopping and number <= self.config.worker_count:
            worker: _Process | None = None
            try:
                worker = self._start_worker(number)
                self._wait_until_serving(worker, READY_S_MAX)
            except WorkerFailed as exc:
                _log.warning("%s; trying again", exc)
                if worker is not None:
                    self._kill([worker])
                sleep(pause_s)
                pause_s = min(pause_s * 2, PAUSE_S_MAX)
            else:
                self._write_note(None)
                return

    def _end_late(self, member: Member) -> None:
        for worker in self._workers:
            if worker.member is member:
                _log.warning("worker %d does not answer: it is killed", worker.number)
                # What is left is done when it has ended: until then it may still serve.
                worker.process.kill()

    def _kill(self, workers: Iterable[_Process]) -> None:
        for worker in [*workers]:
            worker.leaving = True
            worker.process.kill()
            worker.ended.wait()

    def _see_off(self, worker: _Process, grace_s: float) -> None:
        if not worker.ended.wait(grace_s):
            worker.process.kill()
            worker.ended.wait()

    @staticmethod
    def _wait_for_end(process: subprocess.Popen[bytes], timeout_s: float | None) -> None:
        pidfd = os.pidfd_open(process.pid)
        watch = watch_fd(pidfd)
        try:
            with contextlib.suppress(TimedOut):
                watch.wait_readable(timeout_s)
        finally:
            watch.close()
            os.close(pidfd)
        process.poll()

    def _write_note(self, failure: str | None) -> None:
        """Tell other processes how we are; `failure` is of the last restart, None is as before."""
        pids = {w.number: w.process.pid for w in self._workers if not w.leaving}
        self._note.write(self._generation, pids, failure)


def _addresses(config: BalancerConfig) -> list[str]:
    return [*config.bind, *config.tls.bind, *config.bind_internal]


def _end_of(process: subprocess.Popen[bytes]) -> str:
    status = process.returncode
    if status is not None and status < 0:
        return signal.Signals(-status).name
    return f"status {status}"


_log = logging.getLogger("verdant.balancer")
