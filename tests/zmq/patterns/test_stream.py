"""Streaming answers: no faster than they are taken, ended when nobody takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import zmq
from zmq_patterns import eventually, line_of, process

from verdant import Timeout
from verdant.errors import Closed
from verdant.zmq.patterns import PeerSilent, StreamBroken, StreamClient, StreamServer
from verdant.zmq.patterns.stream_frames import CHUNK, OPEN, StreamMessage, encode_stream
from verdant.zmq.security import ServerSecurity, new_keys

if TYPE_CHECKING:
    from collections.abc import Iterator

    from verdant.zmq import Context

ANYWHERE = "tcp://127.0.0.1:*"


class Producer:
    """Counts; `made` and `ended` say what it did."""

    def __init__(self) -> None:
        self.made = 0
        self.ended = 0

    def __call__(self, request: bytes) -> Iterator[bytes]:
        try:
            for number in range(int(request)):
                self.made += 1
                yield b"%d" % number
        finally:
            self.ended += 1


@pytest.fixture
def producer() -> Producer:
    return Producer()


@pytest.fixture
def server(context: Context, producer: Producer) -> Iterator[StreamServer]:
    made = StreamServer(context, ANYWHERE, producer)
    made.start()
    yield made
    made.close()


@pytest.fixture
def client(context: Context, server: StreamServer) -> Iterator[StreamClient]:
    made = StreamClient(context, server.endpoint)
    yield made
    made.close()


@pytest.mark.parametrize("window", [1, 2, 16, 1000])
def test_every_chunk_comes_in_order(client: StreamClient, window: int) -> None:
    with Timeout(60):
        found = [int(chunk) for chunk in client.open(b"3000", window)]
    assert found == list(range(3000))


def test_a_producer_parks_when_out_of_credit(
    client: StreamClient, producer: Producer, server: StreamServer
) -> None:
    with client.open(b"100000", window=10) as chunks:
        assert next(chunks) == b"0"
        # Another stream runs from end to end meanwhile: the first one had all the time it wants.
        with Timeout(60):
            assert len(list(client.open(b"500"))) == 500
        assert producer.made - 500 <= 10
        assert chunks.waiting < 10
        for number in range(1, 100):
            assert next(chunks) == b"%d" % number
        assert server.open_streams == 1
    eventually(lambda: producer.ended == 2)
    assert server.open_streams == 0
    assert producer.made < 700
    with pytest.raises(Closed):
        next(chunks)


def test_leaving_the_loop_ends_the_producer(client: StreamClient, producer: Producer) -> None:
    with Timeout(60):
        with client.open(b"100000") as chunks:
            for chunk in chunks:
                if chunk == b"50":
                    break
        eventually(lambda: producer.ended)


def test_what_a_producer_raises_reaches_its_consumer_alone(context: Context) -> None:
    def produce(request: bytes) -> Iterator[bytes]:
        yield b"fine"
        if request == b"bad":
            raise ValueError("no more of this")
        if request == b"large":
            yield b"x" * (2 * 1024 * 1024)
        yield b"fine too"

    server = StreamServer(context, ANYWHERE, produce)
    server.start()
    client = StreamClient(context, server.endpoint)
    try:
        for request, says in ((b"bad", "no more of this"), (b"large", "a chunk of 2097152 bytes")):
            chunks = client.open(request)
            with Timeout(60):
                assert next(chunks) == b"fine"
                with pytest.raises(StreamBroken, match=says):
                    next(chunks)
        with Timeout(60):
            assert list(client.open(b"good")) == [b"fine", b"fine too"]
    finally:
        client.close()
        server.close()


CONSUMER = """
import sys
from verdant.zmq import Context
from verdant.zmq.patterns import StreamClient
chunks = StreamClient(Context(), sys.argv[1]).open(b"1000000", 4)
print(next(chunks), flush=True)
sys.stdin.read()
"""


def test_a_killed_consumer_ends_its_producer(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    producer = Producer()
    server = StreamServer(context, ANYWHERE, producer)
    # The bound is about a silent network; here it is only waited for.
    monkeypatch.setattr("verdant.zmq.patterns.stream_server.SILENCE_S_MAX", 1.0)
    monkeypatch.setattr("verdant.zmq.patterns.stream_server.BEAT_S", 0.2)
    server.start()
    try:
        with process(CONSUMER, server.endpoint):
            eventually(lambda: producer.made)
            assert server.open_streams == 1
        eventually(lambda: producer.ended)
        assert server.open_streams == 0
        assert producer.made < 100
    finally:
        server.close()


SERVER = """
import sys
from verdant.zmq import Context
from verdant.zmq.patterns import StreamServer
from verdant import sleep
def produce(request):
    for number in range(10**9):
        yield b"%d" % number
server = StreamServer(Context(), sys.argv[1], produce)
server.start()
print(server.endpoint, flush=True)
sleep(3600)
"""


def test_a_killed_server_is_an_error_not_a_short_answer(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("verdant.zmq.patterns.stream_client.SILENCE_S_MAX", 1.0)
    monkeypatch.setattr("verdant.zmq.patterns.stream_client.BEAT_S", 0.2)
    with process(SERVER, ANYWHERE) as (made, said):
        client = StreamClient(context, line_of(said).decode().strip())
        chunks = client.open(b"", window=8)
        with Timeout(60):
            for number in range(100):
                assert next(chunks) == b"%d" % number
            made.kill()
            with pytest.raises(PeerSilent, match="not heard for"):
                list(chunks)
        client.close()


def test_strangers_are_counted_and_nobody_stops(
    context: Context, server: StreamServer, client: StreamClient
) -> None:
    stranger = context.socket(zmq.DEALER)
    stranger.connect(server.endpoint)
    header = encode_stream(StreamMessage(OPEN, 1, 5, b"10"))
    for frames in (
        [b""],
        [b"VS1", b"short", b""],
        encode_stream(StreamMessage(CHUNK, 1, 5, b"")),
        encode_stream(StreamMessage(OPEN, 1, 10**6, b"10")),
        [*header, b"more"],
        encode_stream(StreamMessage(OPEN, 2, 1, b"no number")),
        encode_stream(StreamMessage(OPEN, 3, 1, b"100")),
        encode_stream(StreamMessage(OPEN, 3, 1, b"100")),
    ):
        stranger.send_multipart(frames)
    eventually(lambda: server.rejected == 6)
    with Timeout(60):
        assert len(list(client.open(b"100"))) == 100


def test_a_producer_that_sends_too_much_is_found_out(context: Context) -> None:
    router = context.socket(zmq.ROUTER)
    router.bind(ANYWHERE)
    endpoint = bytes(router.getsockopt(zmq.LAST_ENDPOINT)).rstrip(b"\0").decode()
    client = StreamClient(context, endpoint)
    try:
        chunks = client.open(b"", window=2)
        with Timeout(60):
            peer = router.recv_multipart()[0]
            for number in range(3):
                message = StreamMessage(CHUNK, 1, number, b"x")
                router.send_multipart([peer, *encode_stream(message)])
            eventually(lambda: client.rejected == 1)
            assert (next(chunks), next(chunks)) == (b"x", b"x")
            with pytest.raises(StreamBroken, match="more than it was granted"):
                next(chunks)
    finally:
        client.close()


def test_a_server_that_refuses_us_is_silent(
    context: Context, producer: Producer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("verdant.zmq.patterns.stream_client.SILENCE_S_MAX", 0.5)
    monkeypatch.setattr("verdant.zmq.patterns.stream_client.BEAT_S", 0.1)
    server = StreamServer(
        context, ANYWHERE, producer, security=ServerSecurity(new_keys(), (new_keys().public,))
    )
    server.start()
    client = StreamClient(context, server.endpoint)
    with Timeout(60), pytest.raises(PeerSilent):
        list(client.open(b"10"))
    assert producer.made == 0
    client.close()
    server.close()
