"""Green ZeroMQ: no lost wake-up, real peers, bounded ends."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from verdant import Event, Timeout, sleep, spawn
from verdant.zmq import (
    DEALER,
    NOBLOCK,
    POLLIN,
    PULL,
    PUSH,
    RCVHWM,
    RCVTIMEO,
    REP,
    REQ,
    ROUTER,
    ROUTER_MANDATORY,
    ROUTING_ID,
    SNDHWM,
    SNDTIMEO,
    Again,
    Context,
    Poller,
    ZMQError,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from verdant.zmq import Socket

    Join = Callable[[int, int], tuple[Socket, Socket]]


def test_both_directions_at_once_lose_nothing(joined: Join) -> None:
    router, dealer = joined(ROUTER, DEALER)
    # Else it drops what its peer is too slow for.
    router.set(ROUTER_MANDATORY, 1)
    count = 10_000

    def serve() -> None:
        for _ in range(count):
            router.send_multipart(router.recv_multipart())

    def send() -> None:
        for number in range(count):
            dealer.send(b"%d" % number)

    with Timeout(60):
        server, sender = spawn(serve), spawn(send)
        assert [dealer.recv() for _ in range(count)] == [b"%d" % n for n in range(count)]
        server.wait()
        sender.wait()


def test_several_receivers_share_and_whole_messages_stay_whole(joined: Join) -> None:
    pull, push = joined(PULL, PUSH)
    got: list[list[bytes]] = []

    def receive() -> None:
        while True:
            got.append(pull.recv_multipart())

    receivers = [spawn(receive) for _ in range(5)]
    with Timeout(60):
        for number in range(2000):
            push.send_multipart([b"%d" % number, b"a", b"b"])
        while len(got) < 2000:
            sleep(0.001)
    for receiver in receivers:
        receiver.cancel()
        receiver.join()
    assert sorted(int(message[0]) for message in got) == list(range(2000))
    assert all(message[1:] == [b"a", b"b"] for message in got)


def test_an_interrupted_receive_takes_nothing(joined: Join) -> None:
    pull, push = joined(PULL, PUSH)
    for number in range(50):
        waiting = spawn(pull.recv)
        sleep(0)
        waiting.cancel()
        waiting.join()
        push.send(b"%d" % number)
        with Timeout(30):
            assert pull.recv() == b"%d" % number


def test_timeouts_of_sockets(joined: Join, context: Context) -> None:
    pull, _ = joined(PULL, PUSH)
    for timeout_ms in (0, 1):
        pull.setsockopt(RCVTIMEO, timeout_ms)
        with pytest.raises(Again):
            pull.recv()
    with pytest.raises(Again):
        pull.recv(NOBLOCK)
    lonely = context.socket(PUSH)
    lonely.setsockopt(SNDTIMEO, 1)
    with pytest.raises(Again):
        lonely.send(b"nobody")


def test_a_full_queue_parks_the_sender_and_others_run(context: Context) -> None:
    pull = context.socket(PULL)
    pull.setsockopt(24, 10)  # RCVHWM
    pull.bind("inproc://full")
    push = context.socket(PUSH)
    push.setsockopt(SNDHWM, 10)
    push.connect("inproc://full")
    sent = 0
    done = Event()

    def send() -> None:
        nonlocal sent
        for number in range(1000):
            push.send(b"%d" % number)
            sent += 1
        done.set()

    spawn(send)
    sleep(0)
    while sent and not done.is_set():
        before = sent
        sleep(0.001)
        if sent == before:
            break
    assert sent < 1000
    with Timeout(30):
        assert [pull.recv() for _ in range(1000)] == [b"%d" % n for n in range(1000)]
        done.wait()


def test_a_router_that_must_not_drop_waits_for_a_slow_peer(context: Context) -> None:
    router, dealer = context.socket(ROUTER), context.socket(DEALER)
    router.set(ROUTER_MANDATORY, 1)
    router.set(SNDHWM, 2)
    dealer.set(RCVHWM, 2)
    dealer.set(ROUTING_ID, b"slow")
    router.bind("inproc://slow")
    dealer.connect("inproc://slow")
    dealer.send(b"here")
    with Timeout(30):
        router.recv_multipart()
        hearing = spawn(router.recv_multipart)
        sending = spawn(lambda: [router.send_multipart([b"slow", b"%d" % n]) for n in range(20)])
        turns = 0
        while turns < 20:
            # Its queue is full, EVENTS says otherwise, and the hub goes on.
            turns += 1
            sleep(0)
        assert not sending.done
        assert [dealer.recv() for _ in range(20)] == [b"%d" % n for n in range(20)]
        sending.wait()
        dealer.send(b"thanks")
        assert hearing.wait()[-1] == b"thanks"
        router.set(SNDTIMEO, 5)

        def send_too_many() -> None:
            for _ in range(20):
                router.send_multipart([b"slow", b"x"])

        with pytest.raises(Again):
            send_too_many()


def test_closing_wakes_those_who_wait(joined: Join) -> None:
    pull, _ = joined(PULL, PUSH)
    waiting = [spawn(pull.recv) for _ in range(3)]
    sleep(0)
    pull.close()
    for thread in waiting:
        with pytest.raises(ZMQError):
            thread.wait()


def test_polling(joined: Join) -> None:
    pull, push = joined(PULL, PUSH)
    assert pull.poll(1) == 0
    poller = Poller()
    poller.register(pull, POLLIN)
    waiting = spawn(poller.poll, 30_000)
    sleep(0)
    push.send(b"x")
    assert waiting.wait() == [(pull, POLLIN)]
    assert pull.poll(30_000) == POLLIN


def test_the_hub_goes_on_while_a_context_lingers() -> None:
    context = Context()
    push = context.socket(PUSH)
    push.connect("tcp://127.0.0.1:9")
    push.send(b"for nobody")
    ended = spawn(context.destroy)
    turns = 0
    while not ended.done:
        turns += 1
        sleep(0.001)
    assert turns > 1


PLAIN = """
import sys, zmq
socket = zmq.Context().socket(zmq.REP)
print(socket.bind_to_random_port("tcp://127.0.0.1"), flush=True)
for _ in range(100):
    socket.send(b"you said: " + socket.recv())
"""


def test_plain_pyzmq_in_another_process(context: Context) -> None:
    process = subprocess.Popen([sys.executable, "-c", PLAIN], stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        asking = context.socket(REQ)
        asking.connect(f"tcp://127.0.0.1:{port}")
        with Timeout(30):
            for number in range(100):
                asking.send(b"%d" % number)
                assert asking.recv() == b"you said: %d" % number
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def test_a_program_that_forgets_to_close_still_ends() -> None:
    program = (
        "from verdant import zmq\n"
        "push = zmq.Context().socket(zmq.PUSH)\n"
        "push.connect('tcp://127.0.0.1:9')\n"
        "push.send(b'for nobody')\n"
    )
    assert subprocess.run([sys.executable, "-c", program], timeout=60, check=False).returncode == 0


def test_request_and_reply(joined: Join) -> None:
    replying, asking = joined(REP, REQ)

    def serve() -> None:
        for _ in range(10):
            replying.send_json({"said": replying.recv_string()})

    server = spawn(serve)
    with Timeout(30):
        for number in range(10):
            asking.send_string(str(number))
            assert asking.recv_json() == {"said": str(number)}
        server.wait()
