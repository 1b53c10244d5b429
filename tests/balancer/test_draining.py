"""Backends that come and go, by the API and the command line."""

from __future__ import annotations

from collections import Counter
from functools import partial
from typing import TYPE_CHECKING

from balancer.stage import Held, Stage, crew, eventually

from verdant import spawn
from verdant.balancer import BalancerClient

if TYPE_CHECKING:
    from collections.abc import Callable


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
