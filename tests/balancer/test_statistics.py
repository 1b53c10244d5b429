from __future__ import annotations

from typing import TYPE_CHECKING

from verdant.balancer import statistics
from verdant.balancer.statistics import OTHERS, Statistics, add_up

if TYPE_CHECKING:
    import pytest

ZERO = {"open_requests": 0, "completed_requests": 0, "bytes_sent": 0, "bytes_received": 0}


def test_counts_stay_with_the_host_when_its_rule_changes() -> None:
    counted = Statistics()
    counters = counted.counters(b"a.example")
    counters.completed_requests += 3
    counters.bytes_sent += 10
    counted.retire([b"a.example"])
    assert counted.snapshot() == {}
    assert counted.counters(b"a.example") is counters
    assert counted.snapshot() == {"a.example": ZERO | {"completed_requests": 3, "bytes_sent": 10}}


def test_a_request_that_outlives_its_rule_is_still_told() -> None:
    counted = Statistics()
    counters = counted.counters(b"a")
    counters.open_requests += 1
    counted.retire([b"a", b"never-seen"])
    assert counted.snapshot()["a"]["open_requests"] == 1


def test_hosts_without_a_rule_count_together() -> None:
    counted = Statistics()
    assert counted.snapshot() == {}
    counted.counters(b"").completed_requests += 1
    counted.counters(b"").completed_requests += 1
    assert counted.snapshot() == {OTHERS: ZERO | {"completed_requests": 2}}


def test_the_retired_are_bounded_and_the_oldest_go_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statistics, "RETIRED_HOSTS_MAX", 2)
    counted = Statistics()
    for name in (b"a", b"b", b"c"):
        counted.counters(name).completed_requests += 1
        counted.retire([name])
    assert counted.counters(b"a").completed_requests == 0
    assert counted.counters(b"c").completed_requests == 1


def test_workers_add_up() -> None:
    one, two = Statistics(), Statistics()
    one.counters(b"a").bytes_received += 1
    two.counters(b"a").bytes_received += 2
    two.counters(b"b").open_requests += 1
    assert add_up([one.snapshot(), two.snapshot()]) == {
        "a": ZERO | {"bytes_received": 3},
        "b": ZERO | {"open_requests": 1},
    }
