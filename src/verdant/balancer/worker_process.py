"""Worker process: one core's share of a balancer, led by its supervisor.

Place     balancer, above ZeroMQ; the command line runs it in a process that the supervisor started.
Promise   it serves from the moment when it has all rules, takes changes in the order of their
          numbers, confirms each once it is in force, and tells what it counted each second.
          When it is told to, or loses its supervisor, it stops accepting, finishes what is open
          within the time given, and ends.
Not here  what the supervisor does (supervisor.py), what is said (rule_feed.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from verdant.balancer.certificates import Certificates
from verdant.balancer.config import BalancerConfig  # noqa: TC001 - msgspec reads it
from verdant.balancer.front import Doors, Front
from verdant.balancer.rule_feed import (
    PROTOCOL,
    Accept,
    Accepting,
    Answer,
    Applied,
    Ask,
    Change,
    Counts,
    Drain,
    Follower,
    Held,
    Hello,
    NoneHeld,
    Snapshot,
    Taken,
    Want,
    decode_for_worker,
    encode,
)
from verdant.core import sleep, spawn
from verdant.green.socket import socket
from verdant.net import with_tls
from verdant.sync import Event
from verdant.zmq import DEALER, IDENTITY, LINGER, RCVHWM, SNDHWM, Context, ZMQError

if TYPE_CHECKING:
    from verdant.balancer.access_log import AccessSink
    from verdant.balancer.rule_feed import ToSupervisor

__all__ = ["WorkerOrders", "WorkerProcess"]

# What a worker has counted is lost with it for this long at most.
REPORT_S = 1.0
# Of its last report, on a machine that is busy: the supervisor is a process away.
LINGER_MS = 300


class WorkerOrders(msgspec.Struct, frozen=True):
    """What a worker is told when it starts. `name` is also what it calls itself to the feed."""

    name: str
    # Counted from 1; a replacement has the number of the one that it replaces.
    number: int
    workers: int
    feed: str
    # Descriptors of listening sockets, which the process has inherited.
    external: list[int]
    tls: list[int]
    internal: list[int]
    config: BalancerConfig


class WorkerProcess:
    """The worker of this process. `note` hears of every request when it is over."""

    def __init__(self, orders: WorkerOrders, note: AccessSink | None) -> None:
        self._orders = orders
        self._follower = Follower()
        self.ended = Event()
        self._draining = False
        self._front = Front(
            orders.config,
            _doors(orders),
            lambda host: self._say(Held(host)),
            note,
            none_held=lambda host: self._say(NoneHeld(host)),
            share=1 / orders.workers,
        )
        self._context = Context()
        self._feed = self._context.socket(DEALER)
        self._feed.setsockopt(IDENTITY, orders.name.encode("ascii"))
        self._feed.setsockopt(LINGER, LINGER_MS)
        for option in (SNDHWM, RCVHWM):
            self._feed.setsockopt(option, 0)

    def run(self) -> None:
        """Serve until told to end. Parks."""
        self._feed.connect(self._orders.feed)
        self._say(Hello(PROTOCOL))
        following = spawn(self._follow, name="rule feed")
        reporting = spawn(self._report_each_second, name="reports")
        self.ended.wait()
        for thread in (following, reporting):
            thread.cancel()
            thread.join()
        self._context.destroy(linger=LINGER_MS)

    def drain(self, grace_s: float | None = None, idle_s: float = 0.0) -> None:
        """Begin to stop, within `grace_s` seconds, the configuration's without. Does not park."""
        if not self._draining:
            self._draining = True
            spawn(self._drain, grace_s, idle_s, name="drain")

    def _drain(self, grace_s: float | None, idle_s: float) -> None:
        # Changes are followed meanwhile: what is open still meets every rule from its 200 on.
        self._front.stop(
            self._orders.config.drain_timeout_s if grace_s is None else grace_s, idle_s
        )
        self._report()
        self.ended.set()

    def _say(self, message: ToSupervisor) -> None:
        try:
            self._feed.send(encode(message))
        except ZMQError:
            # The feed is closed: nobody is there to hear it.
            if not self._feed.closed:
                raise

    def _report(self) -> None:
        counts = self._front.statistics.report()
        if counts:
            self._say(Counts(counts))

    def _report_each_second(self) -> None:
        while True:
            sleep(REPORT_S)
            self._report()

    def _follow(self) -> None:
        while True:
            message = decode_for_worker(self._feed.recv())
            match message:
                case Snapshot() | Change():
                    self._take(message)
                case Accept():
                    if not self._draining:
                        self._front.start()
                    self._say(Accepting())
                case Ask(ticket, "left", argument):
                    spawn(self._answer_when_left, ticket, argument, name="leaving backend")
                case Ask(ticket, topic, argument):
                    self._say(Answer(ticket, self._answer(topic, argument)))
                case Drain(grace_s, idle_s):
                    self.drain(grace_s, idle_s)

    def _take(self, message: Snapshot | Change) -> None:
        step = self._follower.take(message)
        if step.load is not None:
            self._front.load(step.load)
        for change in step.changes:
            self._front.take(change.put, change.deleted)
        if isinstance(message, Snapshot):
            self._say(Taken())
        if step.want:
            self._say(Want())
        if step.applied is not None:
            self._say(Applied(step.applied))

    def _answer(self, topic: str, argument: bytes) -> bytes:
        match topic:
            case "counts":
                self._report()
            case "held":
                return msgspec.json.encode(self._front.holding.held_by_host())
            case "backends":
                return msgspec.json.encode(self._front.backends(argument.decode("ascii")))
        return b""

    def _answer_when_left(self, ticket: int, argument: bytes) -> None:
        host, address, timeout_s = msgspec.json.decode(
            argument, type=tuple[str, tuple[str, int], float]
        )
        left = self._front.fleets.wait_until_left(host, address, timeout_s)
        self._say(Answer(ticket, b"%d" % left))


def _doors(orders: WorkerOrders) -> Doors:
    tls = [socket(fileno=fd) for fd in orders.tls]
    if tls:
        certificates = Certificates.of(orders.config.tls)
        # Each handshake asks the directory, so workers agree without a word.
        tls = [with_tls(sock, certificates.context) for sock in tls]
    return Doors(
        [socket(fileno=fd) for fd in orders.external],
        tls,
        [socket(fileno=fd) for fd in orders.internal],
    )
