"""Retries on real sockets: what is sent again, where, and how often."""

from __future__ import annotations

import pytest
from balancer.stage import OK, Peer, Stage, dead, drop

from verdant import Event

POST = b"POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 2\r\n\r\nhi"


def test_another_backend_is_tried_when_nothing_was_sent(stage: Stage) -> None:
    alive = stage.backend()
    stage.rule(dead(stage), alive, attempts=2, delay=0, policy="round_robin", eject_after=0)
    client = stage.client()
    for _ in range(6):
        client.say(POST)
        assert client.answer()[0] == 200
    assert len(alive.heads) == 6


def test_one_attempt_is_one_attempt(stage: Stage) -> None:
    stage.rule(dead(stage), stage.backend(), policy="round_robin", eject_after=0)
    assert sorted(stage.get()[0] for _ in range(4)) == [200, 200, 502, 502]


@pytest.mark.parametrize("method", [b"GET", b"PUT", b"DELETE", b"POST", b"PATCH"])
def test_what_was_sent_is_sent_again_only_if_it_is_idempotent(stage: Stage, method: bytes) -> None:
    asked = []

    def lose(peer: Peer) -> None:
        head = peer.head()
        asked.append(peer.take(2) if b"Content-Length" in head else b"")
        peer.stream.break_off()

    losers = [stage.backend(lose) for _ in range(3)]
    stage.rule(*losers, attempts=3, delay=0)
    client = stage.client()
    body = b"" if method == b"GET" else b"Content-Length: 2\r\n\r\nhi"
    client.say(method + b" / HTTP/1.1\r\nHost: a.test\r\n" + (body or b"\r\n"))
    assert client.answer()[0] == 502
    expected = 1 if method in (b"POST", b"PATCH") else 3
    assert asked == [b"" if method == b"GET" else b"hi"] * expected


def test_a_body_that_went_by_is_not_sent_again(stage: Stage) -> None:
    asked = Event()
    taken = 0

    def lose(peer: Peer) -> None:
        nonlocal taken
        peer.head()
        taken += 1
        asked.set()
        peer.take(2)
        peer.stream.break_off()

    stage.rule(stage.backend(lose), stage.backend(lose), attempts=2, delay=0)
    client = stage.client()
    client.say(b"PUT / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 2\r\n\r\n")
    asked.wait()
    client.say(b"hi")
    assert client.answer()[0] == 502
    assert taken == 1


def test_a_connection_that_ended_while_idle_costs_no_attempt(stage: Stage) -> None:
    def one_each(peer: Peer) -> None:
        peer.head()
        peer.say(OK)

    backend = stage.backend(one_each)
    stage.rule(backend)
    client = stage.client()
    for _ in range(5):
        client.say(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n")
        assert client.answer()[0] == 200


def test_retries_end_with_the_budget(stage: Stage) -> None:
    """Ten in a burst, and hardly more, whatever the rule would allow to each."""
    losers = [stage.backend(drop) for _ in range(2)]
    stage.rule(*losers, attempts=100, delay=0, retry_budget=0, eject_after=0)
    assert stage.get()[0] == 502
    tried = sum(loser.connections for loser in losers)
    assert 11 <= tried < 60
