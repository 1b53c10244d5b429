"""Judgement: what the outcomes of a row mean.

Place     tests/stdlib; __main__.py and test_rows.py ask it. `judge` is pure.
Promise   a test counts when it passes unpatched; then everything but passing under the patch is a
          loss, a skip too. A loss has a reason in known.toml, or is a fault; a reason for a test
          that passes is a fault as well.
Not here  running tests (runner.py).
"""

from __future__ import annotations

import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from stdlib.runner import PASSED, run_modules

if TYPE_CHECKING:
    from collections.abc import Mapping

    from stdlib.rows import Row

__all__ = ["Judgement", "Known", "judge", "judge_row", "known_failures"]

# The version on which the figures of rows.py were measured.
PEERS_VERSION = "3.11"
_VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"


@dataclass(frozen=True, slots=True)
class Known:
    """Why a test may fail, and whether it may pass as well."""

    reason: str
    flaky: bool


@dataclass(frozen=True, slots=True)
class Judgement:
    """One row: how many count, how many of those pass, and what is wrong."""

    row: Row
    counted: int
    passed: int
    # Passed at the second attempt alone: machines have other work to do.
    again: tuple[str, ...]
    # Test and outcome.
    unlisted: dict[str, str]
    stale: tuple[str, ...]

    def faults(self) -> list[str]:
        """What must be put right, in sentences. Empty when all is well."""
        found = [
            f"{test} passes unpatched, fails under the patch, and is not in known.toml: {outcome}"
            for test, outcome in self.unlisted.items()
        ]
        found += [f"{test} passes, so it has no place in known.toml" for test in self.stale]
        if not self.counted:
            found.append(f"{self.row.name}: no test passes unpatched, so nothing was tested")
        # Other versions have other tests, and the peers' figures are of this one.
        if _VERSION == PEERS_VERSION and self.counted - self.passed > self.row.losses_max:
            found.append(
                f"{self.row.name}: {self.passed} of {self.counted} pass, where one of the peers"
                f" loses no more than {self.row.losses_max}"
            )
        return found


def known_failures() -> dict[str, Known]:
    """The entries of known.toml that this Python's version has, by test."""
    with Path(__file__).with_name("known.toml").open("rb") as file:
        entries = tomllib.load(file)["known"]
    return {
        test: Known(entry["reason"], entry.get("flaky", False))
        for entry in entries
        if _VERSION in entry.get("python", [_VERSION])
        for test in entry["tests"]
    }


def judge(
    row: Row,
    unpatched: Mapping[str, str],
    patched: Mapping[str, str],
    second: Mapping[str, str],
    known: Mapping[str, Known],
) -> Judgement:
    """Compare the outcomes of a row. `second`: of the unlisted losses, run once more."""
    counted = [test for test, outcome in unpatched.items() if outcome == PASSED]
    lost = {
        test: patched.get(test, "was not run: its module or class could not be set up")
        for test in counted
        if patched.get(test) != PASSED
    }
    again = tuple(test for test in lost if test not in known and second.get(test) == PASSED)
    for test in again:
        del lost[test]
    return Judgement(
        row=row,
        counted=len(counted),
        passed=len(counted) - len(lost),
        again=again,
        unlisted={test: outcome for test, outcome in lost.items() if test not in known},
        stale=tuple(
            test for test in counted if test not in lost and test in known and not known[test].flaky
        ),
    )


def judge_row(row: Row, *, log: Path | None = None) -> Judgement:
    """Run a row without and with the patch, and judge it. `log`: a file for what the tests print.

    An unlisted loss gets a second run, by itself: this is what CPython's own runner does, since
    many of its tests look at the clock.
    """
    known = known_failures()
    unpatched = run_modules(row.modules, "none")
    patched = run_modules(row.modules, "verdant", log=log)
    first = judge(row, unpatched, patched, {}, known)
    if not first.unlisted:
        return first
    second = run_modules(row.modules, "verdant", first.unlisted, log=log)
    return judge(row, unpatched, patched, second, known)
