"""pyzmq's own tests of its sockets pass with ours, in green threads, under the patch."""

from __future__ import annotations

import faulthandler
import tomllib
from pathlib import Path

import pytest
from pyzmq.suite import PASSED, NotFetched, fetch, run_both

# Tests that pass with pyzmq's own sockets on every machine: fewer means that the run is broken.
COUNTED_MIN = 150


def known() -> dict[str, str]:
    with Path(__file__).with_name("known.toml").open("rb") as file:
        return {
            test: entry["reason"]
            for entry in tomllib.load(file)["known"]
            for test in entry["tests"]
        }


def test_what_passes_with_pyzmqs_sockets_passes_with_ours() -> None:
    try:
        tests = fetch()
    except NotFetched as exc:
        pytest.skip(f"pyzmq's sdist, which has its tests, cannot be fetched: {exc}")
    # pytest would show every thread's stack after a minute; the runs have a limit of their own.
    faulthandler.cancel_dump_traceback_later()
    plain, ours = run_both(tests)
    counted = [test for test, outcome in plain.items() if outcome == PASSED]
    assert len(counted) >= COUNTED_MIN
    lost = {test: ours.get(test, "was not run") for test in counted if ours.get(test) != PASSED}
    reasons = known()
    assert {test: why for test, why in lost.items() if test not in reasons} == {}
    assert [test for test in reasons if test not in lost] == []


def test_every_listed_test_has_a_reason() -> None:
    assert all(known().values())
