"""Backends that fail, on real sockets: put out, checked, brought back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from balancer.stage import Backend, Peer, Stage, counts, crew, dead, drop, eventually, staged

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import pytest


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
