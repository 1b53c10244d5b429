from __future__ import annotations

from verdant.balancer.ledger import Ledger
from verdant.balancer.statistics import Statistics


def test_reports_of_workers_add_up_and_outlive_them() -> None:
    ledger = Ledger()
    ledger.add("one", {"a": (2, 5, 500, 50), "*": (0, 1, 10, 1)})
    ledger.add("two", {"a": (1, 3, 300, 30)})
    ledger.add("one", {"a": (1, 1, 100, 10)})
    assert ledger.totals.snapshot()["a"] == {
        "open_requests": 2, "completed_requests": 9, "bytes_sent": 900, "bytes_received": 90,
    }  # fmt: skip
    assert ledger.totals.snapshot()["*"]["completed_requests"] == 1
    ledger.forget("one")
    ledger.forget("nobody")
    assert ledger.totals.snapshot()["a"]["open_requests"] == 1
    assert ledger.totals.snapshot()["a"]["completed_requests"] == 9


def test_what_a_worker_counts_is_told_once() -> None:
    counted, ledger = Statistics(), Ledger()
    a = counted.counters(b"a")
    a.open_requests += 2
    ledger.add("w", counted.report())
    a.open_requests -= 1
    a.completed_requests += 1
    a.bytes_sent += 7
    # Its rule goes while a request is open: the request still has the counters in hand.
    counted.retire([b"a"])
    ledger.add("w", counted.report())
    a.open_requests -= 1
    a.completed_requests += 1
    ledger.add("w", counted.report())
    assert counted.report() == {}
    assert ledger.totals.snapshot()["a"] == {
        "open_requests": 0, "completed_requests": 2, "bytes_sent": 7, "bytes_received": 0,
    }  # fmt: skip


def test_the_sums_of_hosts_without_rules_are_kept_for_a_while_and_not_shown() -> None:
    ledger = Ledger()
    ledger.add("w", {"a": (0, 1, 1, 1)})
    ledger.retire(["a"])
    assert "a" not in ledger.totals.snapshot()
    ledger.add("w", {"a": (0, 1, 1, 1)})
    assert ledger.totals.snapshot()["a"]["completed_requests"] == 2
