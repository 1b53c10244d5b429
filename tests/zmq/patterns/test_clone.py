"""Publisher and subscriber: late joiners, losses, and a publisher that is killed."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest
import zmq
from flows.stack import free_port
from zmq_patterns import eventually, line_of, process

from verdant import TimedOut, Timeout, sleep, spawn
from verdant.zmq import Context
from verdant.zmq.patterns import (
    AckedPull,
    AckedPush,
    Change,
    Publisher,
    StreamClient,
    StreamServer,
    Subscriber,
    request_queue,
)
from verdant.zmq.security import ClientSecurity, ServerSecurity, new_keys

if TYPE_CHECKING:
    from collections.abc import Iterator


ANYWHERE = "tcp://127.0.0.1:*"


@pytest.fixture
def publisher(context: Context) -> Iterator[Publisher]:
    made = Publisher(context, ANYWHERE, ANYWHERE, state={b"here": b"before"})
    made.start()
    yield made
    made.close()


def following(context: Context, publisher: Publisher) -> Subscriber:
    made = Subscriber(context, publisher.updates_endpoint, publisher.snapshots_endpoint)
    made.start()
    return made


def test_a_late_joiner_gets_it_all_and_then_what_changes(
    context: Context, publisher: Publisher
) -> None:
    for number in range(2000):
        publisher.set(b"key %d" % number, b"x" * 1000)
    told: list[Change] = []
    late = Subscriber(
        context,
        publisher.updates_endpoint,
        publisher.snapshots_endpoint,
        on_change=told.append,
    )
    late.start()
    try:
        late.wait_synced(60)
        assert late.items() == publisher.items()
        assert late.get(b"here") == b"before"
        assert len(told) == 2001
        publisher.delete(b"here")
        last = publisher.set(b"new", b"1")
        late.wait_for(lambda: late.version == (publisher.epoch, last), 60)
        assert late.items() == publisher.items()
        assert told[-2:] == [
            Change(publisher.epoch, last - 1, b"here", None),
            Change(publisher.epoch, last, b"new", b"1"),
        ]
        assert late.statistics().snapshots == 1
        with pytest.raises(TimedOut):
            late.wait_for(lambda: False, 0.01)
    finally:
        late.close()


@pytest.mark.parametrize(
    ("count", "by_snapshot"), [(9000, False), (30_000, True)], ids=["history", "snapshot"]
)
def test_what_a_full_queue_lost_is_fetched(context: Context, count: int, by_snapshot: bool) -> None:
    # In one process there are no kernel's buffers: two thousand messages wait, others are dropped.
    publisher = Publisher(context, "inproc://updates", "inproc://snapshots")
    publisher.start()
    subscriber = following(context, publisher)
    try:
        subscriber.wait_synced(60)
        snapshots = subscriber.statistics().snapshots
        # Nobody else runs in between.
        for number in range(count):
            publisher.set(b"key %d" % (number % 50), b"%d" % number)
        subscriber.wait_for(lambda: subscriber.version[1] == publisher.seq, 60)
        assert subscriber.items() == publisher.items()
        counts = subscriber.statistics()
        assert counts.gaps >= 1
        assert (counts.snapshots > snapshots) == by_snapshot
        assert counts.repairs >= 1 or by_snapshot
    finally:
        subscriber.close()
        publisher.close()


@pytest.mark.parametrize("seed", range(5))
def test_a_way_that_loses_repeats_and_reorders(
    context: Context, publisher: Publisher, seed: int
) -> None:
    dice = random.Random(seed)
    near, far = context.socket(zmq.SUB), context.socket(zmq.PUB)
    near.setsockopt(zmq.SUBSCRIBE, b"")
    near.connect(publisher.updates_endpoint)
    far.bind("inproc://bad way")

    def carry() -> None:
        held: list[list[bytes]] = []
        while True:
            held.append(near.recv_multipart())
            dice.shuffle(held)
            while held and dice.random() < 0.7:
                message = held.pop()
                for _ in range(dice.choice((0, 1, 1, 2))):
                    far.send_multipart(message)

    carrier = spawn(carry)
    told: list[Change] = []
    places = "inproc://bad way", publisher.snapshots_endpoint
    subscriber = Subscriber(context, *places, on_change=told.append)
    subscriber.start()
    try:
        subscriber.wait_synced(60)
        begun = len(told)
        first = publisher.seq
        for number in range(500):
            key = b"%d" % dice.randrange(20)
            if dice.random() < 0.2 and publisher.get(key) is not None:
                publisher.delete(key)
            else:
                publisher.set(key, b"%d" % number)
            if dice.random() < 0.1:
                sleep(0)
        subscriber.wait_for(lambda: subscriber.version[1] == publisher.seq, 60)
        assert subscriber.items() == publisher.items()
        # History has them all, so none was skipped, repeated or out of order.
        assert [change.seq for change in told[begun:]] == list(range(first + 1, publisher.seq + 1))
    finally:
        subscriber.close()
        carrier.cancel()
        carrier.join()


PUBLISHER = """
import sys
from verdant import sleep
from verdant.zmq import Context
from verdant.zmq.patterns import Publisher
life = sys.argv[3].encode()
made = Publisher(Context(), sys.argv[1], sys.argv[2], state={b"life": life, life: b"only here"})
made.start()
print(made.epoch, flush=True)
while True:
    made.set(b"count", b"%d" % made.seq)
    sleep(0.001)
"""


def test_a_killed_publisher_and_its_next_life(context: Context) -> None:
    places = [f"tcp://127.0.0.1:{free_port()}" for _ in range(2)]
    subscriber = Subscriber(context, *places)
    subscriber.start()
    try:
        with process(PUBLISHER, *places, "first") as (_, said):
            subscriber.wait_for(lambda: subscriber.get(b"count") is not None, 60)
            assert subscriber.get(b"life") == b"first"
            assert str(subscriber.version[0]).encode() == line_of(said).strip()
        # Killed. What it had is still here, and it is known that nobody speaks.
        silent = subscriber.silent_s
        eventually(lambda: (subscriber.silent_s or 0) > (silent or 0))
        assert subscriber.get(b"life") == b"first"
        with process(PUBLISHER, *places, "second") as (_, said):
            subscriber.wait_for(lambda: subscriber.get(b"life") == b"second", 60)
            subscriber.wait_synced(60)
            assert str(subscriber.version[0]).encode() == line_of(said).strip()
            # A key of the first life alone is gone.
            assert subscriber.get(b"first") is None
            assert subscriber.get(b"second") == b"only here"
            before = subscriber.version[1]
            subscriber.wait_for(lambda: subscriber.version[1] > before, 60)
    finally:
        subscriber.close()


def test_strangers_frames_are_counted_and_nobody_stops(
    context: Context, publisher: Publisher
) -> None:
    stranger = context.socket(zmq.DEALER)
    stranger.connect(publisher.snapshots_endpoint)
    for frames in ([b""], [b"VP1", b"short"], [b"VP1"] * 50, [b"VP1", b"\x09" + b"x" * 28]):
        stranger.send_multipart(frames)
    stranger.send(b"x" * 100_000)
    eventually(lambda: publisher.rejected >= 4)
    subscriber = following(context, publisher)
    try:
        subscriber.wait_synced(60)
        assert subscriber.items() == publisher.items()
    finally:
        subscriber.close()


def test_a_publisher_that_talks_nonsense_is_counted(context: Context) -> None:
    pub, router = context.socket(zmq.PUB), context.socket(zmq.ROUTER)
    places = []
    for socket in (pub, router):
        socket.bind(ANYWHERE)
        places.append(bytes(socket.getsockopt(zmq.LAST_ENDPOINT)).rstrip(b"\0").decode())
    subscriber = Subscriber(context, *places)
    subscriber.start()
    try:
        with Timeout(60):
            asker = router.recv_multipart()[0]
            router.send_multipart([asker, b"what?"])
            while subscriber.statistics().rejected < 3:
                pub.send_multipart([b"VP1", b"what?"])
                sleep(0.005)
        assert not subscriber.synced
    finally:
        subscriber.close()


def test_with_keys(context: Context) -> None:
    server, friend = new_keys(), new_keys()
    security = ServerSecurity(server, (friend.public,))
    publisher = Publisher(context, ANYWHERE, ANYWHERE, security=security, state={b"a": b"1"})
    publisher.start()
    places = publisher.updates_endpoint, publisher.snapshots_endpoint
    welcome = Subscriber(context, *places, security=ClientSecurity(server.public, friend))
    stranger = Subscriber(context, *places, security=ClientSecurity(server.public, new_keys()))
    try:
        stranger.start()
        welcome.start()
        welcome.wait_synced(60)
        assert welcome.items() == {b"a": b"1"}
        assert stranger.items() == {}
        assert not stranger.synced
    finally:
        stranger.close()
        welcome.close()
        publisher.close()


def test_a_context_that_ends_takes_its_patterns_along(
    capfd: pytest.CaptureFixture[str],
) -> None:
    own = Context()
    publisher = Publisher(own, ANYWHERE, ANYWHERE)
    publisher.start()
    subscriber = following(own, publisher)
    server = StreamServer(own, ANYWHERE, lambda request: [request])
    server.start()
    client = StreamClient(own, server.endpoint)
    pull = AckedPull(own, ANYWHERE)
    push = AckedPush(own, [pull.endpoint])
    pump = request_queue(own, ANYWHERE, ANYWHERE)
    pump.start()
    with Timeout(60):
        subscriber.wait_synced()
        push.put(b"x")
        pull.take().ack()
        push.flush()
        assert list(client.open(b"x")) == [b"x"]
        own.destroy(linger=0)
        for made in (subscriber, publisher, client, server, push, pull):
            made.close()
        pump.terminate()
    assert "failed" not in capfd.readouterr().err


def test_limits_of_a_state(publisher: Publisher) -> None:
    with pytest.raises(ValueError, match="a key has at most"):
        publisher.set(b"x" * 2000, b"")
    with pytest.raises(ValueError, match="a key has at most"):
        publisher.set(b"x", b"y" * (1024 * 1024 + 1))
    with pytest.raises(KeyError):
        publisher.delete(b"nothing")
    assert publisher.seq == 0
    for number in range(63):
        publisher.set(b"%d" % number, b"y" * (1024 * 1024))
    with pytest.raises(ValueError, match="over 67108864 bytes"):
        publisher.set(b"one more", b"y" * (1024 * 1024))
