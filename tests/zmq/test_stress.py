"""Two hundred green threads on sockets of every pattern, cancelled and timed out at random.

VERDANT_ZMQ_STRESS_S: seconds of traffic, 5 when left out.
"""

from __future__ import annotations

import gc
import os
import random
import select
import subprocess
import sys
from collections import Counter
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import zmq as pyzmq

from verdant import GreenThread, Timeout, sleep, spawn
from verdant.core import monotonic
from verdant.zmq import (
    DEALER,
    EVENTS,
    FD,
    PUB,
    PULL,
    PUSH,
    REP,
    REQ,
    ROUTER,
    SUB,
    SUBSCRIBE,
    Context,
    Readiness,
    Socket,
    ZMQError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import pytest


SECONDS = float(os.environ.get("VERDANT_ZMQ_STRESS_S", "5"))
THREADS = 200
# What a round may leave behind: allocators keep some pages, libzmq some descriptors to reap.
GROWTH_BYTES_MAX = 40 * 2**20
GROWTH_FDS_MAX = 16


def lost_wake_ups(sockets: list[Socket]) -> list[str]:
    """Who waits for what is there, now that nothing comes any more.

    A wake-up is lost when a thread is parked, EVENTS has its bit, and the descriptor has no news
    that the hub could still hear of. While there is traffic nobody could tell: between two looks
    there is always news.
    """
    found = []
    for socket in sockets:
        readiness = socket._readiness
        # News first: reading EVENTS takes it.
        if not readiness.closed and not _is_readable(int(pyzmq.Socket.get(socket, FD))):
            events = int(pyzmq.Socket.get(socket, EVENTS))
            found += [
                f"{socket!r} {side.bit}"
                for side in (readiness.receiving, readiness.sending)
                if side.idle and events & side.bit
            ]
    return found


def _is_readable(fd: int) -> bool:
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return bool(poll.poll(0))


class World:
    """Sockets and the threads that use them; all of them end with `stop()`."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.random = random.Random(seed)
        self.folder = folder
        self.context = Context()
        self.sockets: list[Socket] = []
        self.threads: list[GreenThread[None]] = []
        self.senders: list[GreenThread[None]] = []
        self.ending = False
        self.sent: Counter[bytes] = Counter()
        self.got: Counter[bytes] = Counter()
        self.done: Counter[str] = Counter()
        self.ports = 0

    def socket(self, kind: int) -> Socket:
        made = self.context.socket(kind)
        made.linger = 0
        made.hwm = self.random.choice((1, 10, 1000))
        self.sockets.append(made)
        return made

    def bind(self, socket: Socket) -> str:
        self.ports += 1
        if self.ports % 2:
            socket.bind(f"ipc://{self.folder}/{self.ports}")
            return f"ipc://{self.folder}/{self.ports}"
        return f"tcp://127.0.0.1:{socket.bind_to_random_port('tcp://127.0.0.1')}"

    def spawn(self, fn: Callable[..., None], *args: object) -> None:
        self.threads.append(spawn(fn, *args))

    def spawn_sender(self, fn: Callable[..., None], *args: object) -> None:
        self.senders.append(spawn(fn, *args))

    def jitter(self) -> None:
        """Now and then let others run, so that every order of things comes up."""
        if self.random.random() < 0.05:
            sleep(self.random.choice((0, 0, 0.001)))

    def interrupted(self, wait: Callable[[], object]) -> object:
        """The wait, often with too little time for it; None when that was so."""
        if self.random.random() < 0.3:
            with Timeout(self.random.choice((0, 0.0005, 0.002)), False):
                return wait()
            return None
        return wait()

    # The patterns.

    def push_pull(self) -> None:
        pull = self.socket(PULL)
        address = self.bind(pull)
        for _ in range(2):
            push = self.socket(PUSH)
            push.connect(address)
            for _ in range(2):
                self.spawn_sender(self.pusher, push, len(self.senders))
        for _ in range(3):
            self.spawn(self.puller, pull)

    def pusher(self, push: Socket, mine: int) -> None:
        for number in self.numbers():
            body = b"%d.%d" % (mine, number)
            parts = [body, b"x" * self.random.choice((0, 10, 5000)), body]
            # An interrupted send has sent nothing.
            bound = Timeout(self.random.choice((None, None, 0.0005)), False)
            with bound:
                push.send_multipart(parts)
            if not bound.expired:
                self.sent[body] += 1
            self.jitter()

    def puller(self, pull: Socket) -> None:
        while True:
            parts = self.interrupted(pull.recv_multipart)
            if isinstance(parts, list):
                first, _, last = parts
                assert first == last
                self.got[first] += 1
            self.jitter()

    def req_rep(self) -> None:
        router, dealer = self.socket(ROUTER), self.socket(DEALER)
        front, back = self.bind(router), self.bind(dealer)
        self.spawn(self.forward, router, dealer)
        self.spawn(self.forward, dealer, router)
        for _ in range(3):
            rep, req = self.socket(REP), self.socket(REQ)
            rep.connect(back)
            req.connect(front)
            self.spawn(self.replier, rep)
            self.spawn_sender(self.asker, req)

    def forward(self, source: Socket, target: Socket) -> None:
        while True:
            if source.poll(self.random.choice((1, 50, -1))):
                target.send_multipart(source.recv_multipart())
            self.jitter()

    def replier(self, rep: Socket) -> None:
        while True:
            rep.send(rep.recv())
            self.jitter()

    def asker(self, req: Socket) -> None:
        for number in self.numbers():
            question = b"%d" % number
            req.send(question)
            while (answer := self.interrupted(req.recv)) is None:
                pass
            assert answer == question
            self.done["req"] += 1
            self.jitter()

    def both_ways(self) -> None:
        here, there = self.socket(DEALER), self.socket(DEALER)
        there.connect(self.bind(here))
        for socket in (here, there):
            self.spawn_sender(self.talker, socket)
            self.spawn(self.listener, socket)

    def talker(self, socket: Socket) -> None:
        for number in self.numbers():
            socket.send(b"%d" % number)
            self.jitter()

    def listener(self, socket: Socket) -> None:
        for number in count():
            while (message := self.interrupted(socket.recv)) is None:
                pass
            # In order, none missing: a DEALER with one peer waits instead of dropping.
            assert message == b"%d" % number
            self.done["dealer"] += 1

    def pub_sub(self) -> None:
        pub = self.socket(PUB)
        address = self.bind(pub)
        for _ in range(2):
            sub = self.socket(SUB)
            sub.set(SUBSCRIBE, b"")
            sub.connect(address)
            self.spawn(self.subscriber, sub)
        self.spawn_sender(self.publisher, pub)

    def publisher(self, pub: Socket) -> None:
        for number in self.numbers():
            pub.send(b"%09d" % number)
            sleep(0.001)

    def subscriber(self, sub: Socket) -> None:
        latest = b""
        while True:
            message = self.interrupted(sub.recv)
            if isinstance(message, bytes):
                assert message > latest
                latest = message
                self.done["sub"] += 1

    def coming_and_going(self) -> None:
        self.spawn_sender(self.come_and_go)

    def come_and_go(self) -> None:
        for _ in self.numbers():
            pull, push = self.context.socket(PULL), self.context.socket(PUSH)
            push.connect(self.bind(pull))
            waiting = [spawn(self.wait_for_the_end, pull) for _ in range(3)]
            push.send(b"x")
            with Timeout(30):
                while not any(thread.done for thread in waiting):
                    sleep(0.001)
            for thread in waiting[:1]:
                thread.cancel()
            pull.close(0)
            push.close(0)
            for thread in waiting:
                thread.join()
            self.done["close"] += 1
            sleep(0.01)

    @staticmethod
    def wait_for_the_end(pull: Socket) -> None:
        with suppress(ZMQError):
            pull.recv()

    def numbers(self) -> Iterator[int]:
        number = 0
        while not self.ending:
            yield number
            number += 1

    def run(self, seconds: float) -> None:
        patterns = (
            self.push_pull, self.req_rep, self.both_ways, self.pub_sub, self.coming_and_going,
            self.push_pull, self.req_rep,
        )  # fmt: skip
        while len(self.threads) + len(self.senders) < THREADS:
            self.random.choice(patterns)()
        deadline = monotonic() + seconds
        while monotonic() < deadline:
            sleep(0.05)
            for thread in self.threads + self.senders:
                if thread.done:
                    thread.wait()

    def settle(self) -> None:
        """Let everybody end who asks or sends, and what was sent arrive: until nothing comes."""
        self.ending = True
        with Timeout(60):
            # A wake-up that was lost keeps one of these for ever.
            for sender in self.senders:
                sender.wait()
            while len(self.got) < len(self.sent):
                sleep(0.01)
            while True:
                before = self.done.copy()
                sleep(0.05)
                if before == self.done:
                    return

    def stop(self) -> None:
        threads = [*self.threads, *self.senders]
        for thread in threads:
            thread.cancel()
        for thread in threads:
            thread.join()


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def one_round(folder: Path, seed: int, seconds: float) -> Counter[str]:
    folder.mkdir()
    world = World(folder, seed)
    try:
        world.run(seconds)
        world.settle()
        assert lost_wake_ups(world.sockets) == []
    finally:
        world.stop()
        for socket in world.sockets:
            socket.close(0)
        world.context.destroy(0)
    # Each once, and nothing that an interrupted send did not send.
    assert world.got == world.sent
    return world.done + Counter(pull=len(world.got))


def stress(folder: Path) -> None:
    # Short ones: a lost wake-up is found at the end of each.
    rounds = max(4, int(SECONDS))
    done: Counter[str] = Counter()
    figures: list[tuple[int, int]] = []
    for number in range(rounds):
        done += one_round(folder / str(number), number, SECONDS / rounds)
        gc.collect()
        figures.append((descriptors(), resident_bytes()))
    print(dict(done), figures)  # noqa: T201 - shown when it fails, and by hand
    assert min(done[pattern] for pattern in ("pull", "req", "dealer", "sub", "close")) > 0
    # The first round fills caches.
    assert figures[-1][0] - figures[1][0] <= GROWTH_FDS_MAX
    assert figures[-1][1] - figures[1][1] <= GROWTH_BYTES_MAX


def test_nothing_is_lost_and_nothing_stays(tmp_path: Path) -> None:
    # In a process of its own: what other tests left behind moves about while this one counts.
    done = subprocess.run(
        [sys.executable, __file__, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=60 + 5 * SECONDS,
        check=False,
    )
    print(done.stdout)  # noqa: T201
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_lost_wake_up_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    with Context() as context, context.socket(DEALER) as here, context.socket(DEALER) as there:
        here.bind("inproc://lost")
        there.connect("inproc://lost")
        heard: list[int] = []
        # An edge that nobody heeds, and that is taken by a look past the rule.
        monkeypatch.setattr(
            Readiness, "switch", lambda readiness: heard.append(readiness.read_events())
        )
        waiting = spawn(here.recv)
        sleep(0)
        there.send(b"x")
        with Timeout(30):
            while not heard:
                sleep(0)
        assert len(lost_wake_ups([here])) == 1
        waiting.cancel()
        waiting.join()


if __name__ == "__main__":
    stress(Path(sys.argv[1]))
