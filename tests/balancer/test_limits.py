"""Limits on real sockets: who runs, who waits, who is refused."""

from __future__ import annotations

from functools import partial

from balancer.stage import OK, Held, Peer, Stage, ask_all, drop, eventually, waiting, weighted

from verdant import Event, spawn


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
