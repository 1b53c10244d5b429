"""Pumps: whole messages through, bounded, steerable, counted."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
import zmq
from zmq_patterns import eventually

from verdant import Timeout, sleep, spawn
from verdant.errors import ConfigurationError
from verdant.zmq import NOBLOCK, Again, Socket
from verdant.zmq.patterns import Pump, forwarder, request_queue
from verdant.zmq.security import PLAIN

if TYPE_CHECKING:
    from collections.abc import Iterator

    from verdant.zmq import Context

ANYWHERE = "tcp://127.0.0.1:*"


@pytest.fixture
def queue(context: Context) -> Iterator[Pump]:
    made = request_queue(context, ANYWHERE, ANYWHERE)
    made.start()
    yield made
    made.terminate()


def joined(context: Context, kind: int, endpoint: str) -> Socket:
    made = context.socket(kind)
    made.connect(endpoint)
    return made


def test_requests_reach_workers_and_answers_their_askers(context: Context, queue: Pump) -> None:
    def work(name: bytes) -> None:
        worker = joined(context, zmq.REP, queue.back_endpoint)
        while True:
            worker.send_multipart([name, worker.recv()])

    workers = [spawn(work, name) for name in (b"one", b"two")]
    answered: set[bytes] = set()

    def ask(client: int) -> None:
        asking = joined(context, zmq.REQ, queue.front_endpoint)
        for number in range(50):
            question = b"%d/%d" % (client, number)
            asking.send(question)
            name, answer = asking.recv_multipart()
            assert answer == question
            answered.add(name)

    with Timeout(60):
        for thread in [spawn(ask, client) for client in range(10)]:
            thread.wait()
    for worker in workers:
        worker.cancel()
    counts = queue.statistics()
    assert answered == {b"one", b"two"}
    assert (counts.forth, counts.back, counts.dropped) == (500, 500, 0)
    assert counts.forth_bytes > 500


def test_pause_loses_nothing_and_stops_everything(context: Context, queue: Pump) -> None:
    worker = joined(context, zmq.REP, queue.back_endpoint)
    asking = joined(context, zmq.REQ, queue.front_endpoint)
    with Timeout(60):
        asking.send(b"first")
        assert worker.recv() == b"first"
        queue.pause()
        worker.send(b"answer")
        other = joined(context, zmq.DEALER, queue.front_endpoint)
        other.send_multipart([b"", b"second"])
        # A round trip elsewhere, in time enough for both to have gone through.
        pair, far = context.socket(zmq.PAIR), context.socket(zmq.PAIR)
        pair.bind("inproc://elsewhere")
        far.connect("inproc://elsewhere")
        for _ in range(100):
            pair.send(b"")
            far.recv()
            sleep(0.0001)
        assert (queue.statistics().back, queue.statistics().paused) == (0, True)
        with pytest.raises(Again):
            asking.recv(NOBLOCK)
        queue.resume()
        assert asking.recv() == b"answer"
        assert worker.recv() == b"second"
        worker.send(b"two")
        assert other.recv_multipart() == [b"", b"two"]
    counts = queue.statistics()
    assert (counts.forth, counts.back, counts.dropped, counts.paused) == (2, 2, 0, False)


def test_a_forwarder_carries_subscriptions_up_and_messages_down(context: Context) -> None:
    pump = forwarder(context, ANYWHERE, ANYWHERE)
    pump.start()
    subscribers = []
    try:
        publishers = [joined(context, zmq.PUB, pump.front_endpoint) for _ in range(2)]
        for topic in (b"a", b"b"):
            subscriber = joined(context, zmq.SUB, pump.back_endpoint)
            subscriber.setsockopt(zmq.SUBSCRIBE, topic)
            subscribers.append(subscriber)
        eventually(lambda: pump.statistics().back == 2)
        found: dict[bytes, set[bytes]] = {b"a": set(), b"b": set()}

        def listen(topic: bytes, subscriber: Socket) -> None:
            while True:
                said, text = subscriber.recv_multipart()
                assert said == topic
                found[topic].add(text)

        listeners = [
            spawn(listen, topic, subscriber)
            for topic, subscriber in zip((b"a", b"b"), subscribers, strict=True)
        ]

        def all_heard() -> bool:
            # Until the subscriptions have reached the publishers, they send to nobody.
            for number, publisher in enumerate(publishers):
                for topic in (b"a", b"b", b"c"):
                    publisher.send_multipart([topic, b"%d" % number])
            return all(texts == {b"0", b"1"} for texts in found.values())

        eventually(all_heard)
        for listener in listeners:
            listener.cancel()
    finally:
        pump.terminate()


def test_what_waits_is_bounded(context: Context) -> None:
    pull, push = context.socket(zmq.PULL), context.socket(zmq.PUSH)
    for socket in (pull, push):
        socket.setsockopt(zmq.RCVHWM, 5)
        socket.setsockopt(zmq.SNDHWM, 5)
    pull.bind("inproc://bounded front")
    push.bind("inproc://bounded back")
    pump = Pump(pull, push)
    pump.start()
    sending = context.socket(zmq.PUSH)
    sending.setsockopt(zmq.SNDHWM, 5)
    sending.connect("inproc://bounded front")
    receiving = context.socket(zmq.PULL)
    receiving.setsockopt(zmq.RCVHWM, 5)
    receiving.connect("inproc://bounded back")
    sent = 0

    def send() -> None:
        nonlocal sent
        for number in range(1000):
            sending.send(b"%d" % number)
            sent += 1

    sender = spawn(send)
    with Timeout(60):
        before = -1
        while sent != before:
            before = sent
            sleep(0.02)
        # Two queues of ten, and one message in hand.
        assert sent <= 30
        assert [receiving.recv() for _ in range(1000)] == [b"%d" % n for n in range(1000)]
        sender.wait()
    assert pump.statistics().forth == 1000
    pump.terminate()


def test_a_message_in_hand_at_the_end_is_counted(context: Context) -> None:
    pull, push = context.socket(zmq.PULL), context.socket(zmq.PUSH)
    pull.bind("inproc://last")
    push.bind("inproc://nobody")
    pump = Pump(pull, push)
    pump.start()
    sending = context.socket(zmq.PUSH)
    sending.connect("inproc://last")
    with Timeout(60):
        sending.send(b"nobody takes it")
        eventually(lambda: pump.statistics().in_hand == 1)
        pump.terminate()
        assert pump.wait(30)
    assert (pump.statistics().forth, pump.statistics().dropped) == (0, 1)
    assert pull.closed
    assert push.closed


def test_the_control_socket(context: Context) -> None:
    control = context.socket(zmq.REP)
    control.bind("inproc://control")
    pump = request_queue(context, ANYWHERE, ANYWHERE, control=control)
    pump.start()
    steering = joined(context, zmq.REQ, "inproc://control")
    said = []
    with Timeout(60):
        for command in (b"PAUSE", b"STATISTICS", b"RESUME", b"DANCE", b"TERMINATE"):
            steering.send(command)
            said.append(steering.recv())
        assert pump.wait(30)
    assert said[0] == said[2] == said[4] == b"OK"
    assert json.loads(said[1])["paused"] is True
    assert b"commands are" in said[3]
    assert pump.rejected == 1
    with pytest.raises(ValueError, match="waiting_max"):
        request_queue(context, ANYWHERE, ANYWHERE, waiting_max=0)


def test_plain_text_to_other_machines_is_asked_for_by_name(context: Context) -> None:
    with pytest.raises(ConfigurationError, match="security=PLAIN"):
        request_queue(context, "tcp://127.0.0.1:*", "tcp://*:*")
    # The name of an interface could be any; this one is loopback.
    pump = request_queue(context, "tcp://lo:*", "tcp://lo:*", security=PLAIN)
    pump.terminate()
