"""Backends that break at every moment, with retries: nothing twice, nothing short, nothing lost."""

from __future__ import annotations

import random
from collections import Counter
from typing import TYPE_CHECKING

import h11
import pytest
from balancer.stage import Backend, Peer, Stage, eventually

from verdant import spawn

if TYPE_CHECKING:
    from collections.abc import Callable

CLIENTS = 8
REQUESTS_EACH = 40


def breaking(dice: random.Random, seen: Counter[bytes]) -> Callable[[Peer], None]:
    """A backend that breaks off one time in three: before, within, or behind its answer."""

    def script(peer: Peer) -> None:
        while head := peer.head():
            name = head.split(b" ")[1]
            if b"Content-Length: 4" in head:
                peer.take(4)
            seen[name] += 1
            body = name * 3000
            answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
            fate = dice.randrange(9)
            if fate == 0:
                return peer.stream.break_off()
            if fate == 1:
                peer.say(answer[: dice.randrange(1, len(answer))])
                return None
            peer.say(answer)
            if fate == 2:
                return peer.stream.break_off()
        return None

    return script


def whole(peer: Peer) -> tuple[int, bytes] | None:
    """An answer, or None when it did not come whole."""
    head = peer.head()
    if not head:
        return None
    size = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
    while len(peer.rest) < size:
        data = peer.stream.recv(65_536)
        if not data:
            return None
        peer.rest += data
    body, peer.rest = peer.rest[:size], peer.rest[size:]
    return int(head[9:12]), body


@pytest.mark.parametrize("method", [b"GET", b"POST"])
def test_whatever_breaks_a_post_is_sent_once_and_an_answer_is_whole(
    stage: Stage, method: bytes
) -> None:
    seen: Counter[bytes] = Counter()
    dice = random.Random(7)
    crew: list[Backend] = [stage.backend(breaking(dice, seen)) for _ in range(3)]
    stage.rule(*crew, attempts=4, delay=0, eject_after=0, retry_budget=1, policy="round_robin")
    outcomes: Counter[str] = Counter()

    def ask(number: int) -> None:
        for turn in range(REQUESTS_EACH):
            name = b"/%d-%d" % (number, turn)
            client = stage.client()
            head = method + b" %b HTTP/1.1\r\nHost: a.test\r\n" % name
            client.say(head + (b"Content-Length: 4\r\n\r\nbody" if method == b"POST" else b"\r\n"))
            found = whole(client)
            client.stream.close()
            if found is None:
                outcomes["cut"] += 1
            elif found[0] == 200:
                assert found[1] == name * 3000
                outcomes["whole"] += 1
            else:
                assert found[0] == 502
                outcomes["refused"] += 1

    asking = [spawn(ask, number) for number in range(CLIENTS)]
    for each in asking:
        each.wait()
    total = CLIENTS * REQUESTS_EACH
    assert sum(outcomes.values()) == total
    if method == b"POST":
        assert set(seen.values()) == {1}
    else:
        # Four tries with a chance of one in nine each that nothing comes: once in 6561.
        assert outcomes["refused"] <= 3
        assert max(seen.values()) <= 4 * 2
    assert outcomes["whole"] > total / 2
    eventually(lambda: all(state["open_requests"] == 0 for state in stage.states()))
    # No connection is looked after that is not there.
    pool = stage.service._front.pool
    eventually(lambda: len(stage.service._front.deadlines._connections) == len(pool))


FRAGMENTS = [
    b"HTTP/1.1 200 OK\r\n", b"HTTP/1.0 200 OK\r\n", b"HTTP/1.1 204 No Content\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n",
    b"Content-Length: 5\r\n", b"Content-Length: 0\r\n", b"Content-Length: +5\r\n",
    b"Transfer-Encoding: chunked\r\n", b"Connection: close\r\n", b"Connection: keep-alive\r\n",
    b"X: y\r\n", b"X : y\r\n", b" folded\r\n", b"\r\n", b"\n", b"hello",
    b"5\r\nhello\r\n", b"0\r\n", b"0\r\n\r\n", b"zz\r\n", b"\0",
]  # fmt: skip


def read_by_h11(data: bytes) -> tuple[int, bytes] | None:
    """The answer that h11 reads in `data`, the end of the connection behind it; None for none."""
    reader = h11.Connection(h11.CLIENT)
    reader.send(h11.Request(method="GET", target="/", headers=[("Host", "a.test")]))
    reader.send(h11.EndOfMessage())
    reader.receive_data(data)
    reader.receive_data(b"")
    status, body = 0, b""
    try:
        while True:
            event = reader.next_event()
            if isinstance(event, h11.Response):
                status = event.status_code
            elif isinstance(event, h11.Data):
                body += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                return status, body
            elif not isinstance(event, h11.InformationalResponse):
                return None
    except h11.RemoteProtocolError:
        return None


def test_a_client_reads_what_the_backend_said_or_a_502_or_no_end(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    dice = random.Random(11)
    said = b""

    def speak(peer: Peer) -> None:
        peer.head()
        peer.say(said)
        # All of it is read before the end comes: the balancer's side closes first or we do.
        peer.stream.send_eof()
        peer.everything()

    stage.rule(stage.backend(speak), eject_after=0)
    outcomes: Counter[str] = Counter()
    for _ in range(400):
        beginning = [] if dice.random() < 0.2 else [FRAGMENTS[dice.randrange(3)]]
        said = b"".join([*beginning, *dice.choices(FRAGMENTS, k=dice.randrange(1, 7))])
        client = stage.client()
        client.say(b"GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n")
        heard = client.everything()
        client.stream.close()
        found = read_by_h11(heard)
        if found is None:
            outcomes["cut"] += 1
            assert not heard.endswith(b"\r\n0\r\n\r\n"), (said, heard)
        elif found[0] == 502:
            outcomes["refused"] += 1
        else:
            outcomes["passed"] += 1
            assert found == read_by_h11(said), (said, heard)
    assert min(outcomes.values()) > 10, outcomes
    assert not [record for record in caplog.records if record.name == "verdant.http"]
