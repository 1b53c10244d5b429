"""The main job, from outside: a sleeping site, a held request, its log line, a second start."""

from __future__ import annotations

import signal
import subprocess
from typing import TYPE_CHECKING

import pytest
from flows.stack import VERDANT, Stack, eventually, processes_with

if TYPE_CHECKING:
    from pathlib import Path

HOST = "hello.localhost"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_sleeping_site_wakes_and_everything_stops_in_order(tmp_path: Path, number: int) -> None:
    stack = Stack(tmp_path, sample=True)
    with stack:
        status, body = stack.get(HOST)
        assert status == 200
        assert b"asleep" in body
        assert stack.get(HOST, "/again")[0] == 200
        eventually(lambda: len(stack.query("app=balancer")) == 2)
        held, direct = stack.query("app=balancer")
        assert held["fields"]["duration_us"] > direct["fields"]["duration_us"]
        stack.set_rule("kept.test", ["empty", {"code": 403}, False])

        tail = subprocess.Popen(
            [VERDANT, "logs", "tail", *stack.where, "--json", "--last", "2"],
            stdout=subprocess.PIPE,
        )
        try:
            assert tail.stdout is not None
            # Once the earlier lines are shown it follows.
            earlier = [tail.stdout.readline() for _ in range(2)]
            assert b"/again" in earlier[1]
            stack.get(HOST, "/live")
            assert b"/live" in tail.stdout.readline()
        finally:
            tail.send_signal(signal.SIGINT)
            assert tail.wait(30) == 0
            if tail.stdout is not None:
                tail.stdout.close()

        assert stack.stop(number) == 0
    assert processes_with(str(tmp_path)) == []

    with stack:
        assert stack.manage("GET", "/hostname/kept.test/")[1] == ["empty", {"code": 403}, False]
        assert len(stack.query("app=balancer")) == 3


def test_nothing_outlives_a_stack_that_was_killed(tmp_path: Path) -> None:
    stack = Stack(tmp_path)
    with stack:
        assert len(processes_with(str(tmp_path))) == 4
        stack.stop(signal.SIGKILL)
    eventually(lambda: processes_with(str(tmp_path)) == [])
