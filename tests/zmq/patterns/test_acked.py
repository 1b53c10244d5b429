"""What PUSH/PULL loses when a peer is killed, and what its acked twin does not."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import pytest
import zmq
from zmq_patterns import eventually, line_of, process

from verdant import TimedOut, Timeout, spawn
from verdant.zmq.patterns import AckedPull, AckedPush
from verdant.zmq.security import ClientSecurity, ServerSecurity, new_keys

if TYPE_CHECKING:
    from verdant.zmq import Context

ANYWHERE = "tcp://127.0.0.1:*"
COUNT = 2000

# Says where it listens; takes ten messages, says so, and takes no more.
PULL = """
import sys, zmq
pull = zmq.Context().socket(zmq.PULL)
print(pull.bind_to_random_port("tcp://127.0.0.1"), flush=True)
for _ in range(10):
    pull.recv()
print("ten", flush=True)
sys.stdin.read()
"""

ACKED_PULL = """
import sys
from verdant import sleep
from verdant.zmq import Context
from verdant.zmq.patterns import AckedPull
pull = AckedPull(Context(), "tcp://127.0.0.1:*")
print(pull.endpoint, flush=True)
for _ in range(10):
    pull.take().ack()
print("ten", flush=True)
pull.take()
sleep(3600)
"""


def put_all(push: AckedPush, count: int) -> None:
    for number in range(count):
        push.put(b"%d" % number)


def test_push_loses_what_a_killed_puller_had(context: Context) -> None:
    alive = context.socket(zmq.PULL)
    alive.bind(ANYWHERE)
    push = context.socket(zmq.PUSH)
    push.connect(bytes(alive.getsockopt(zmq.LAST_ENDPOINT)).rstrip(b"\0").decode())
    found: set[bytes] = set()

    def receive() -> None:
        while True:
            found.add(alive.recv())

    receiver = spawn(receive)
    with process(PULL) as (doomed, said), Timeout(60):
        push.connect(f"tcp://127.0.0.1:{int(line_of(said))}")
        for number in range(COUNT):
            push.send(b"%d" % number)
        assert line_of(said) == b"ten\n"
        doomed.kill()
        doomed.wait()
        # Its share went to it, and half of all others; ZeroMQ does not look back.
        eventually(lambda: len(found) >= COUNT // 4)
        push.send(b"after")
        push.send(b"after too")
        eventually(lambda: b"after" in found or b"after too" in found)
    receiver.cancel()
    receiver.join()
    # Ten were done by the dead one; more than those are missing.
    assert COUNT - len(found - {b"after", b"after too"}) > 10


def test_acked_push_loses_nothing(context: Context) -> None:
    alive = AckedPull(context, ANYWHERE)
    found: list[bytes] = []

    def receive() -> None:
        while True:
            with alive.take() as payload:
                found.append(payload)

    receiver = spawn(receive)
    with process(ACKED_PULL) as (doomed, said), Timeout(60):
        push = AckedPush(context, [alive.endpoint, line_of(said).decode().strip()], ack_s=0.5)
        sender = spawn(put_all, push, COUNT)
        assert line_of(said) == b"ten\n"
        doomed.kill()
        doomed.wait()
        sender.wait()
        assert push.flush(60)
        assert push.waiting == 0
        assert push.resent > 0
    # All but the ten that the dead one said were done.
    assert len(set(found)) >= COUNT - 10
    assert len(found) == len(set(found))
    push.close()
    receiver.cancel()
    receiver.join()
    alive.close()


def test_work_that_fails_is_handed_out_again(context: Context) -> None:
    pull = AckedPull(context, ANYWHERE)
    push = AckedPush(context, [pull.endpoint], ack_s=0.1)
    with Timeout(60):
        push.put(b"hard")
        with pytest.raises(ZeroDivisionError), pull.take():
            raise ZeroDivisionError
        with pull.take() as payload:
            assert payload == b"hard"
        assert push.flush(60)
        with pytest.raises(TimedOut):
            pull.take(0.3)
    push.close()
    pull.close()


def test_an_ack_that_came_late_is_said_again_and_nothing_is_handed_out_twice(
    context: Context,
) -> None:
    pull = AckedPull(context, ANYWHERE)
    push = AckedPush(context, [pull.endpoint], ack_s=0.1)
    with Timeout(60):
        push.put(b"slow")
        work = pull.take()
        eventually(lambda: pull.duplicates >= 2)
        work.ack()
        assert push.flush(60)
        with pytest.raises(TimedOut):
            pull.take(0.3)
    push.close()
    pull.close()


def test_put_parks_while_too_many_have_no_ack(context: Context) -> None:
    pull = AckedPull(context, ANYWHERE)
    push = AckedPush(context, [pull.endpoint], waiting_max=3)
    sender = spawn(put_all, push, 5)
    with Timeout(60):
        first = pull.take()
        eventually(lambda: push.waiting == 3)
        assert not sender.done
        first.ack()
        for _ in range(4):
            pull.take().ack()
        sender.wait()
        assert push.flush(60)
    push.close()
    pull.close()


def test_strangers_are_counted_and_keys_are_asked_for(context: Context) -> None:
    server, friend = new_keys(), new_keys()
    pull = AckedPull(context, ANYWHERE, security=ServerSecurity(server, (friend.public,)))
    stranger = context.socket(zmq.DEALER)
    stranger.connect(pull.endpoint)
    # After a handshake that failed there may be nobody to queue for.
    with contextlib.suppress(zmq.Again):
        stranger.send(b"plain", zmq.NOBLOCK)
    security = {pull.endpoint: ClientSecurity(server.public, friend)}
    push = AckedPush(context, [pull.endpoint], security=security)
    with Timeout(60):
        push.put(b"hello")
        with pull.take() as payload:
            assert payload == b"hello"
        assert push.flush(60)
    assert pull.rejected == 0
    push.close()
    pull.close()
    plain = AckedPull(context, ANYWHERE)
    stranger = context.socket(zmq.DEALER)
    stranger.connect(plain.endpoint)
    for frames in ([b""], [b"VQ1", b"short", b""], [b"VQ1", b"x" * 16], [b"VQ2", b"x" * 16, b""]):
        stranger.send_multipart(frames)
    eventually(lambda: plain.rejected == 4)
    plain.close()
