"""CPython's own tests under the patch: the rows that say most (`make test-stdlib` runs all)."""

from __future__ import annotations

import faulthandler
import importlib.util
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from stdlib.judgement import Judgement, Known, judge, judge_row, known_failures
from stdlib.rows import ROWS, ROWS_AT_ONCE, TELLING
from stdlib.runner import PASSED, run_modules

if TYPE_CHECKING:
    from collections.abc import Iterator

# Debian's Python has the folder and not the tests.
needs_tests = pytest.mark.skipif(
    importlib.util.find_spec("test.test_socket") is None,
    reason="this Python was installed without its `test` package",
)

BY_NAME = {row.name: row for row in ROWS}


@pytest.fixture(scope="module")
def running() -> Iterator[dict[str, Future[Judgement]]]:
    """All the rows, run side by side: they mostly wait."""
    pool = ThreadPoolExecutor(ROWS_AT_ONCE)
    yield {name: pool.submit(judge_row, BY_NAME[name]) for name in TELLING}
    pool.shutdown(cancel_futures=True)


@needs_tests
@pytest.mark.parametrize("name", TELLING)
def test_row(name: str, running: dict[str, Future[Judgement]]) -> None:
    # pytest would show every thread's stack after a minute; a row may take two, and the runner has
    # a limit of its own.
    faulthandler.cancel_dump_traceback_later()
    judgement = running[name].result()
    assert judgement.faults() == []


ROW = BY_NAME["select"]


def test_a_skip_where_the_unpatched_run_passes_is_a_loss() -> None:
    verdict = judge(
        ROW, {"a": PASSED, "b": PASSED}, {"a": PASSED, "b": "skipped: no epoll"}, {}, {}
    )
    assert (verdict.counted, verdict.passed) == (2, 1)
    assert "skipped: no epoll" in verdict.faults()[0]


def test_what_fails_unpatched_does_not_count() -> None:
    verdict = judge(ROW, {"a": "failed: x", "b": PASSED}, {"a": PASSED, "b": PASSED}, {}, {})
    assert (verdict.counted, verdict.passed, verdict.faults()) == (1, 1, [])


def test_the_list_is_checked_both_ways() -> None:
    known = {"a": Known("why", flaky=False), "b": Known("why", flaky=True)}
    both = {"a": PASSED, "b": PASSED}
    assert judge(ROW, both, {"a": "hung", "b": "hung"}, {}, known).unlisted == {}
    verdict = judge(ROW, both, both, {}, known)
    assert verdict.stale == ("a",)
    assert len(verdict.faults()) == 1


def test_a_second_attempt_counts_and_is_told() -> None:
    verdict = judge(ROW, {"a": PASSED}, {"a": "failed: slow"}, {"a": PASSED}, {})
    assert (verdict.passed, verdict.again, verdict.faults()) == (1, ("a",), [])


def test_every_listed_test_has_a_reason() -> None:
    assert all(known.reason for known in known_failures().values())


MODULE = """
import os, time, unittest

class Tests(unittest.TestCase):
    def test_1_passes(self):
        pass
    def test_2_hangs(self):
        time.sleep(3600)
    def test_3_dies(self):
        os._exit(3)
    def test_4_fails(self):
        with self.subTest("part"):
            self.fail("told")
    def test_5_skips(self):
        self.skipTest("no reason")
    def test_6_passes_after_all_that(self):
        pass

class NeverSetUp(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        raise RuntimeError
    def test_not_run(self):
        pass
"""


@pytest.mark.parametrize("patch", ["none", "verdant"])
def test_the_runner_goes_past_hangs_and_deaths(
    patch: str, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path_factory.mktemp("modules")
    (folder / "sample_tests.py").write_text(MODULE)
    monkeypatch.setattr("stdlib.runner.MODULES", folder)
    monkeypatch.setattr("stdlib.runner.HANG_S", 2.0)
    if importlib.util.find_spec("test.support") is None:
        pytest.skip("this Python was installed without its `test` package")
    outcomes = run_modules(["sample_tests"], patch)
    brief = {name.rpartition(".")[2]: outcome[:6] for name, outcome in outcomes.items()}
    assert brief.pop("setUpClass (sample_tests.NeverSetUp)".rpartition(".")[2]) == "failed"
    assert brief == {
        "test_1_passes": "passed",
        "test_2_hangs": "hung",
        "test_3_dies": "died w",
        "test_4_fails": "failed",
        "test_5_skips": "skippe",
        "test_6_passes_after_all_that": "passed",
    }
    only = [next(name for name in outcomes if name.endswith("test_1_passes"))]
    assert run_modules(["sample_tests"], patch, only) == {only[0]: PASSED}
