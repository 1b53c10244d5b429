"""What do the ZeroMQ patterns and keys cost, beside the bare sockets under them?

Method: one process, one hub, TCP on loopback; best of three rounds. Bare PUSH/PULL is the measure
for acked push and for pumps, plain PULL for CURVE. Prints one JSON line.
Would change our mind: a pattern at less than a tenth of the bare sockets' messages per second.
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

from verdant import spawn
from verdant.zmq import DEALER, LAST_ENDPOINT, PULL, PUSH, Context
from verdant.zmq.patterns import (
    AckedPull,
    AckedPush,
    Publisher,
    StreamClient,
    StreamServer,
    Subscriber,
    request_queue,
)
from verdant.zmq.security import ANY_KEY, new_keys, secure_client, secure_server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ANYWHERE = "tcp://127.0.0.1:*"
COUNT = 20_000
PAYLOAD = b"x" * 100


def per_second(measured: Callable[[], int]) -> int:
    best = 0.0
    for _ in range(3):
        begun = time.perf_counter()
        count = measured()
        best = max(best, count / (time.perf_counter() - begun))
    return round(best)


def bare(context: Context, *, curve: bool) -> int:
    pull, push = context.socket(PULL), context.socket(PUSH)
    if curve:
        keys = new_keys()
        secure_server(pull, keys, allow=ANY_KEY)
        secure_client(push, keys.public, new_keys())
    pull.bind(ANYWHERE)
    push.connect(pull.getsockopt(LAST_ENDPOINT))

    def send() -> None:
        for _ in range(COUNT):
            push.send(PAYLOAD)

    push.send(b"connected")
    pull.recv()

    def once() -> int:
        sender = spawn(send)
        for _ in range(COUNT):
            pull.recv()
        sender.wait()
        return COUNT

    return per_second(once)


def handshakes(context: Context) -> int:
    keys, own = new_keys(), new_keys()
    pull = context.socket(PULL)
    secure_server(pull, keys, allow=ANY_KEY)
    pull.bind(ANYWHERE)

    def once() -> int:
        for _ in range(200):
            push = context.socket(PUSH)
            secure_client(push, keys.public, own)
            push.connect(pull.getsockopt(LAST_ENDPOINT))
            push.send(b"")
            pull.recv()
            push.close(0)
        return 200

    return per_second(once)


def acked(context: Context) -> int:
    pull = AckedPull(context, ANYWHERE)
    push = AckedPush(context, [pull.endpoint])

    def take() -> None:
        for _ in range(COUNT):
            pull.take().ack()

    def once() -> int:
        taker = spawn(take)
        for _ in range(COUNT):
            push.put(PAYLOAD)
        taker.wait()
        push.flush()
        return COUNT

    return per_second(once)


def published(context: Context) -> int:
    publisher = Publisher(context, ANYWHERE, ANYWHERE)
    publisher.start()
    copy = Subscriber(context, publisher.updates_endpoint, publisher.snapshots_endpoint)
    copy.start()
    copy.wait_synced()

    def once() -> int:
        for number in range(COUNT):
            publisher.set(b"%d" % (number % 100), PAYLOAD)
            if number % 500 == 499:
                copy.wait_for(lambda: copy.version[1] == publisher.seq)
        return COUNT

    return per_second(once)


def streamed(context: Context) -> int:
    def produce(request: bytes) -> Iterator[bytes]:
        for _ in range(int(request)):
            yield PAYLOAD

    server = StreamServer(context, ANYWHERE, produce)
    server.start()
    client = StreamClient(context, server.endpoint)
    return per_second(lambda: sum(1 for _ in client.open(b"%d" % COUNT, 64)))


def pumped(context: Context) -> int:
    pump = request_queue(context, ANYWHERE, ANYWHERE)
    pump.start()
    near, far = context.socket(DEALER), context.socket(DEALER)
    near.connect(pump.front_endpoint)
    far.connect(pump.back_endpoint)

    def send() -> None:
        for _ in range(COUNT):
            near.send(PAYLOAD)

    def once() -> int:
        sender = spawn(send)
        for _ in range(COUNT):
            far.recv_multipart()
        sender.wait()
        return COUNT

    return per_second(once)


def main() -> None:
    context = Context()
    result = {
        "bare_push_pull_per_s": bare(context, curve=False),
        "curve_push_pull_per_s": bare(context, curve=True),
        "curve_handshakes_per_s": handshakes(context),
        "acked_push_pull_per_s": acked(context),
        "published_changes_per_s": published(context),
        "stream_chunks_per_s": streamed(context),
        "pumped_messages_per_s": pumped(context),
    }
    print(json.dumps(result), flush=True)
    context.destroy(linger=0)


if __name__ == "__main__":
    main()
