"""Many backends behind one rule, on real sockets: who is chosen, tried again, put out."""

from __future__ import annotations

from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from balancer.stage import OK, Backend, Peer, Stage, eventually, staged

from verdant import Event, spawn
from verdant.balancer import BalancerClient

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

POST = b"POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 2\r\n\r\nhi"


def counts(*backends: Backend) -> list[int]:
    return [len(backend.heads) for backend in backends]


def crew(stage: Stage, count: int) -> list[Backend]:
    return [stage.backend() for _ in range(count)]


def weighted(backend: Backend, weight: int, **more: int) -> object:
    return {"address": f"127.0.0.1:{backend.port}", "weight": weight, **more}


# Policies.


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


# Retries.


def dead(stage: Stage) -> Backend:
    backend = stage.backend()
    backend.kill()
    return backend


def drop(peer: Peer) -> None:
    """Takes a request and ends without a word."""
    peer.head()
    peer.stream.break_off()


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


# Ejection and checks.


def test_a_backend_that_fails_is_put_out(stage: Stage) -> None:
    alive = stage.backend()
    stage.rule(dead(stage), alive, policy="round_robin", eject_after=2, eject_s=600)
    answers = [stage.get()[0] for _ in range(20)]
    assert answers.count(502) == 2
    assert answers[5:] == [200] * 15
    states = stage.states()
    assert [state["state"] for state in states] == ["ejected", "in"]
    assert states[0]["failures"] == 2
    assert "cannot connect" in states[0]["last_failure"]


def test_never_all_are_put_out(stage: Stage) -> None:
    stage.rule(dead(stage), dead(stage), eject_after=1)
    for _ in range(4):
        stage.get()
    assert [state["state"] for state in stage.states()] == ["ejected", "ejected"]
    assert stage.get()[0] == 502
    backend = stage.backend()
    stage.rule(backend, eject_after=1)
    backend.script = drop
    assert stage.get()[0] == 502
    backend.script = backend.serve_hello
    assert stage.get()[0] == 200


def test_a_returning_backend_is_back_once_its_ramp_is_over(stage: Stage) -> None:
    one, two = crew(stage, 2)
    one.script = drop
    stage.rule(one, two, policy="round_robin", eject_after=1, eject_s=0.05, ramp_s=0.05)
    eventually(lambda: stage.get()[0] == 502)
    one.script = one.serve_hello
    eventually(lambda: stage.states()[0]["state"] == "in")
    before = counts(one, two)
    for _ in range(10):
        assert stage.get()[0] == 200
    assert [a - b for a, b in zip(counts(one, two), before, strict=True)] == [5, 5]


def test_what_was_learned_outlives_a_change_of_the_rule(stage: Stage) -> None:
    bad, good, other = dead(stage), stage.backend(), stage.backend()
    stage.rule(bad, good, policy="round_robin", eject_after=1, eject_s=600)
    for _ in range(4):
        stage.get()
    stage.rule(bad, good, other, policy="round_robin", eject_after=1, eject_s=600)
    assert [state["state"] for state in stage.states()] == ["ejected", "in", "in"]
    assert [stage.get()[0] for _ in range(6)] == [200] * 6
    # An equal rule is no change: connections stay, too.
    connections = good.connections
    stage.rule(bad, good, other, policy="round_robin", eject_after=1, eject_s=600)
    for _ in range(4):
        stage.get()
    assert good.connections == connections


def checked(status: bytes) -> Callable[[Peer], None]:
    def script(peer: Peer) -> None:
        head = peer.head()
        answer = status if head.startswith(b"GET /health ") else b"200 OK"
        peer.say(b"HTTP/1.1 %b\r\nContent-Length: 0\r\n\r\n" % answer)

    return script


HEALTH: dict[str, Any] = {
    "health_path": "/health",
    "health_interval_s": 0.05,
    "health_rise": 1,
    "health_fall": 2,
    "ramp_s": 0.05,
}


def test_checks_put_out_and_bring_back_without_a_request(stage: Stage) -> None:
    one, two = stage.backend(checked(b"500 No")), stage.backend(checked(b"200 OK"))
    stage.rule(one, two, **HEALTH)

    def states() -> list[str]:
        return [state["state"] for state in stage.states()]

    eventually(lambda: states() == ["unsound", "in"])
    assert stage.states()[0]["last_failure"] == "health check: /health answers 500"
    for _ in range(10):
        stage.get(path=b"/page")
    assert stage.states()[0]["completed_requests"] == 0
    one.script = checked(b"204 No Content")
    eventually(lambda: states() == ["in", "in"])


def test_checks_end_with_their_rule(stage: Stage) -> None:
    backend = stage.backend(checked(b"200 OK"))
    stage.rule(backend, **HEALTH)
    eventually(lambda: backend.connections >= 2)
    fleets = stage.service.fleets
    assert len(fleets._checks) == 1
    stage.rule(backend, **{**HEALTH, "health_path": ""})
    assert len(fleets._checks) == 0
    stage.rule(backend, **HEALTH)
    assert len(fleets._checks) == 1
    stage.manage("DELETE", "/hostname/a.test/")
    assert len(fleets._checks) == 0


def test_checks_begin_with_the_balancer(tmp_path: Path) -> None:
    backend = Backend(checked(b"200 OK"))
    try:
        with staged(tmp_path) as stage:
            stage.rule(backend, **HEALTH)
        seen = backend.connections
        with staged(tmp_path):
            eventually(lambda: backend.connections > seen)
    finally:
        backend.close()


def test_fleets_that_nobody_uses_are_forgotten_beyond_a_number(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("verdant.balancer.fleets.FLEETS_MAX", 3)
    backend = stage.backend()
    for number in range(6):
        stage.rule(backend, host=f"h{number}.test")
        assert stage.get(host=b"h%d.test" % number)[0] == 200
    assert len(stage.service.fleets._fleets) == 3
    assert stage.get(host=b"h0.test")[0] == 200
    assert stage.states("h0.test")[0]["completed_requests"] == 1


# Limits.


class Held:
    """A backend that answers when it is let, and the number that it has under way."""

    def __init__(self, stage: Stage) -> None:
        self.go = Event()
        self.now = self.most = 0
        self.backend = stage.backend(self.script)

    def script(self, peer: Peer) -> None:
        while peer.head():
            self.now += 1
            self.most = max(self.most, self.now)
            self.go.wait()
            self.now -= 1
            peer.say(OK)


def waiting(stage: Stage) -> int:
    fleet = stage.service.fleets._fleets.get(b"a.test")
    return 0 if fleet is None else fleet.load.waiting


def ask_all(stage: Stage, count: int) -> list[Any]:
    return [spawn(stage.get) for _ in range(count)]


def test_no_more_run_at_once_than_the_rule_allows(stage: Stage) -> None:
    held = Held(stage)
    stage.rule(held.backend, connections_max=3)
    asking = ask_all(stage, 10)
    eventually(lambda: held.now == 3)
    held.go.set()
    assert [each.wait()[0] for each in asking] == [200] * 10
    assert held.most == 3


def test_no_backend_has_more_than_it_may(stage: Stage) -> None:
    small, large = Held(stage), Held(stage)
    stage.rule(weighted(small.backend, 1, connections_max=1), large.backend,
               backend_connections_max=4)  # fmt: skip
    asking = ask_all(stage, 20)
    eventually(lambda: (small.now, large.now) == (1, 4))
    small.go.set()
    large.go.set()
    assert [each.wait()[0] for each in asking] == [200] * 20
    assert (small.most, large.most) == (1, 4)


def test_what_does_not_fit_into_the_queue_is_refused(stage: Stage) -> None:
    held = Held(stage)
    stage.rule(held.backend, connections_max=1, queue_max=2, queue_s=20)
    asking = ask_all(stage, 3)
    eventually(lambda: waiting(stage) == 2)
    status, head, body = stage.get()
    assert status == 503
    assert b"Retry-After: 20\r\n" in head
    assert b"as many requests as it can take" in body
    held.go.set()
    assert [each.wait()[0] for each in asking] == [200] * 3


def test_who_waits_too_long_is_refused(stage: Stage) -> None:
    held = Held(stage)
    stage.rule(held.backend, connections_max=1, queue_s=0.05)
    first = spawn(stage.get)
    eventually(lambda: held.now == 1)
    assert stage.get()[0] == 503
    held.go.set()
    assert first.wait()[0] == 200
    assert stage.get()[0] == 200


def test_who_waits_is_served_by_a_backend_that_returns(stage: Stage) -> None:
    bad, held = stage.backend(drop), Held(stage)
    stage.rule(
        bad, held.backend, policy="round_robin", backend_connections_max=1,
        eject_after=1, eject_s=0.1, ramp_s=0, queue_s=20,
    )  # fmt: skip
    assert stage.get()[0] == 502
    bad.script = bad.serve_hello
    first = spawn(stage.get)
    eventually(lambda: held.now == 1)
    # The other one is still out when this one comes, or it is not: it is served either way.
    assert stage.get()[0] == 200
    assert held.now == 1
    held.go.set()
    assert first.wait()[0] == 200


def test_who_waits_is_served_under_the_rule_in_force(stage: Stage) -> None:
    held, other = Held(stage), stage.backend()
    stage.rule(held.backend, connections_max=1)
    asking = ask_all(stage, 4)
    eventually(lambda: held.now == 1)
    stage.rule(other, connections_max=100)
    held.go.set()
    assert [each.wait()[0] for each in asking] == [200] * 4
    assert len(other.heads) == 3


def test_the_queue_is_first_come_first_served(stage: Stage) -> None:
    order = []
    go = Event()

    def note(peer: Peer) -> None:
        while head := peer.head():
            order.append(head.split(b" ")[1])
            go.wait()
            peer.say(OK)

    stage.rule(stage.backend(note), connections_max=1)

    def waits(number: int) -> bool:
        return waiting(stage) == number

    asking = []
    for number in range(6):
        asking.append(spawn(partial(stage.get, path=b"/%d" % number)))
        if number:
            eventually(partial(waits, number))
        else:
            eventually(lambda: order)
    go.set()
    for each in asking:
        each.wait()
    assert order == [b"/%d" % number for number in range(6)]


# Adding and draining.


def more_than(heads: list[bytes], count: int) -> bool:
    return len(heads) > count


def test_backends_come_and_go_under_load_without_a_failed_request(stage: Stage) -> None:
    backends = crew(stage, 3)
    stage.rule(backends[0], policy="round_robin")
    statuses: Counter[int] = Counter()
    running = True

    def load() -> None:
        client = stage.client()
        while running:
            client.say(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n")
            statuses[client.answer()[0]] += 1

    def done(count: int) -> Callable[[], bool]:
        wanted = statuses[200] + count
        return lambda: statuses[200] >= wanted

    loads = [spawn(load) for _ in range(8)]
    path = "/hostname/a.test/backends/"
    current = backends[0]
    for _ in range(4):
        for fresh in backends:
            if fresh is current:
                continue
            assert stage.manage("POST", path, f"127.0.0.1:{fresh.port}")[0] == 200
            seen = len(fresh.heads)
            eventually(partial(more_than, fresh.heads, seen + 5))
            answer = stage.manage("DELETE", f"{path}127.0.0.1:{current.port}/?drain_s=20")
            assert answer == (200, {"ok": True, "open_requests": 0})
            # Removed is removed: it hears nothing any more.
            seen = len(current.heads)
            eventually(done(20))
            assert len(current.heads) == seen
            current = fresh
    running = False
    for each in loads:
        each.join()
    assert set(statuses) == {200}


def test_draining_waits_for_what_is_under_way_and_says_what_is_left(stage: Stage) -> None:
    held, other = Held(stage), stage.backend()
    stage.rule(held.backend, connections_max=10)
    first = spawn(stage.get)
    eventually(lambda: held.now == 1)
    path = "/hostname/a.test/backends/"
    assert stage.manage("POST", path, other.pair)[0] == 200
    address = f"{path}127.0.0.1:{held.backend.port}/"
    draining = spawn(stage.manage, "DELETE", f"{address}?drain_s=20")
    eventually(lambda: len(stage.states()) == 1)
    assert not draining.done
    held.go.set()
    assert draining.wait() == (200, {"ok": True, "open_requests": 0})
    assert first.wait()[0] == 200
    # Its last backend is what a rule keeps.
    status, answer = stage.manage("DELETE", f"{path}127.0.0.1:{other.port}/")
    assert status == 400
    assert "another rule" in answer["message"]


def test_a_drain_that_takes_too_long_says_so(stage: Stage) -> None:
    held, other = Held(stage), stage.backend()
    stage.rule(held.backend, other, policy="round_robin")
    first = spawn(stage.get)
    eventually(lambda: held.now == 1)
    client = BalancerClient(str(stage.service.management_address))
    assert client.remove_backend("a.test", f"127.0.0.1:{held.backend.port}", 0.02) == 1
    assert [state["address"] for state in client.backends("a.test")] == [f"127.0.0.1:{other.port}"]
    client.add_backend("a.test", {"address": f"127.0.0.1:{other.port}", "weight": 5})
    assert client.backends("a.test")[0]["weight"] == 5
    held.go.set()
    assert first.wait()[0] == 200


def test_the_command_line_lists_adds_and_removes(stage: Stage) -> None:
    from click.testing import CliRunner

    from verdant.cli.main import main

    one, two = crew(stage, 2)
    stage.rule(one)
    where = ["--management", str(stage.service.management_address)]

    def run(*arguments: str) -> tuple[int, str]:
        found = CliRunner().invoke(main, ["rules", "backends", *arguments, *where])
        return found.exit_code, found.output

    assert run("add", "a.test", f"127.0.0.1:{two.port}", "--weight", "3")[0] == 0
    code, shown = run("list", "a.test")
    assert code == 0
    assert f"127.0.0.1:{two.port}" in shown
    assert run("remove", "a.test", f"127.0.0.1:{one.port}", "--drain", "5")[0] == 0
    assert [state["weight"] for state in stage.states()] == [3]
    assert run("remove", "a.test", f"127.0.0.1:{two.port}")[0] != 0
