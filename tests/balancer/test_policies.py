"""Policies on real sockets: each backend gets its share, each client its place."""

from __future__ import annotations

import pytest
from balancer.stage import OK, Peer, Stage, counts, crew, weighted

from verdant import Event


def test_round_robin_goes_by_weight(stage: Stage) -> None:
    one, two = crew(stage, 2)
    stage.rule(weighted(one, 3), two, policy="round_robin")
    for _ in range(8):
        stage.get()
    assert counts(one, two) == [6, 2]


def test_a_backend_named_twice_gets_twice_the_share(stage: Stage) -> None:
    one, two = crew(stage, 2)
    stage.rule(one, two, one, policy="round_robin")
    for _ in range(6):
        stage.get()
    assert counts(one, two) == [4, 2]


def test_least_connections_passes_over_the_busy_one(stage: Stage) -> None:
    go = Event()

    def stall(peer: Peer) -> None:
        peer.head()
        go.wait()
        peer.say(OK)

    slow, quick = stage.backend(stall), stage.backend()
    stage.rule(slow, quick, policy="least_connections")
    clients = []
    while stage.states()[0]["open_requests"] == 0:
        client = stage.client()
        client.say(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n")
        clients.append(client)
    before = len(quick.heads)
    for _ in range(10):
        assert stage.get()[0] == 200
    assert len(quick.heads) >= before + 10
    assert slow.connections == 1
    go.set()


@pytest.mark.parametrize("policy", ["random", "power_of_two"])
def test_chance_reaches_everybody(stage: Stage, policy: str) -> None:
    backends = crew(stage, 3)
    stage.rule(*backends, policy=policy)
    # That one of three is missed in 100 draws: once in 10^17.
    for _ in range(100):
        stage.get()
    assert all(counts(*backends))
    assert sum(counts(*backends)) == 100


@pytest.mark.parametrize("hash_on", ["header:X-User", "cookie:user"])
def test_one_key_goes_to_one_backend_and_stays_when_another_leaves(
    stage: Stage, hash_on: str
) -> None:
    backends = crew(stage, 3)
    stage.rule(*backends, policy="consistent_hash", hash_on=hash_on)
    field = b"X-User: %d\r\n" if hash_on.startswith("header") else b"Cookie: a=b; user=%d; c=d\r\n"

    def home(user: int) -> int:
        before = counts(*backends)
        stage.get(field % user)
        (index,) = (
            i for i, (b, a) in enumerate(zip(before, counts(*backends), strict=True)) if a > b
        )
        return index

    homes = [home(user) for user in range(30)]
    assert len(set(homes)) == 3
    assert [home(user) for user in range(30)] == homes
    stage.rule(*backends[:2], policy="consistent_hash", hash_on=hash_on)
    assert all(home(user) == was for user, was in enumerate(homes) if was != 2)


def test_the_client_s_address_is_a_key_and_a_trusted_peer_s_word_for_it(stage: Stage) -> None:
    backends = crew(stage, 4)
    stage.rule(*backends, policy="consistent_hash")
    for number in range(20):
        # From outside this is a claim, and no claim counts.
        stage.get(b"X-Forwarded-For: 192.0.2.%d\r\n" % number)
    assert sorted(counts(*backends)) == [0, 0, 0, 20]
    for number in range(40):
        stage.get(b"X-Forwarded-For: 192.0.2.%d\r\n" % number, internal=True)
    assert all(counts(*backends))


def test_a_cookie_keeps_a_client_with_its_backend(stage: Stage) -> None:
    backends = crew(stage, 4)
    stage.rule(*backends, sticky_cookie="place")
    _, head, _ = stage.get()
    line = next(line for line in head.split(b"\r\n") if line.startswith(b"Set-Cookie: place="))
    assert b"; Path=/; HttpOnly; SameSite=Lax" in line
    cookie = line.split(b": ")[1].split(b";")[0]
    for _ in range(20):
        _, head, _ = stage.get(b"Cookie: x=y; %b\r\n" % cookie)
        assert b"Set-Cookie" not in head
    assert sorted(counts(*backends)) == [0, 0, 0, 21]
    # Taken to no new ones by its weight, it keeps its own.
    home = counts(*backends).index(21)
    stage.rule(
        *(weighted(b, int(i != home)) for i, b in enumerate(backends)), sticky_cookie="place"
    )
    stage.get(b"Cookie: %b\r\n" % cookie)
    assert counts(*backends)[home] == 22
    # Gone, its clients get a place elsewhere.
    backends[home].kill()
    stage.rule(*(b for i, b in enumerate(backends) if i != home), sticky_cookie="place")
    status, head, _ = stage.get(b"Cookie: %b\r\n" % cookie)
    assert status == 200
    assert b"Set-Cookie: place=" in head
