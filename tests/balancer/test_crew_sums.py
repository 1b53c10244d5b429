from __future__ import annotations

from typing import Any

import pytest

from verdant.balancer.crew_sums import add_backends, add_held
from verdant.balancer.share import part


def backend(address: str, state: str = "in", **told: Any) -> dict[str, Any]:
    counts = dict.fromkeys(
        ("open_requests", "completed_requests", "failures", "idle_connections"), 1
    )
    return {"address": address, "weight": 2, "state": state, "last_failure": "", **counts, **told}


def test_backends_are_summed_and_the_worst_is_told() -> None:
    first = [backend("a:1"), backend("b:1", "returning")]
    second = [backend("b:1", "ejected", last_failure="no answer"), backend("a:1", failures=4)]
    one, two = add_backends([first, second])
    assert (one["address"], one["state"], one["failures"], one["weight"]) == ("a:1", "in", 5, 2)
    assert (two["address"], two["state"], two["last_failure"]) == ("b:1", "ejected", "no answer")
    assert one["open_requests"] == one["completed_requests"] == one["idle_connections"] == 2
    assert first == [backend("a:1"), backend("b:1", "returning")]


def test_no_answer_is_no_backend() -> None:
    assert add_backends([]) == []
    assert add_held([]) == {}


def test_held_requests_are_summed() -> None:
    assert add_held([{"a": 1, "b": 2}, {}, {"b": 3}]) == {"a": 1, "b": 5}


@pytest.mark.parametrize("workers", range(1, 130))
@pytest.mark.parametrize("whole", [0, 1, 7, 64, 10_000])
def test_parts_are_no_less_than_the_whole(whole: int, workers: int) -> None:
    together = part(whole, 1 / workers) * workers
    assert whole <= together <= whole + workers
    assert bool(together) == bool(whole)
