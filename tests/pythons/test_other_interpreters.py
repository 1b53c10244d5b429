"""The runtime passes its tests on every other supported CPython that this machine has."""

from __future__ import annotations

import faulthandler
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from pythons.interpreters import VERSIONS, others
from pythons.rooms import AT_ONCE, Report, run_rooms

if TYPE_CHECKING:
    from collections.abc import Iterator

FOUND = others()


@pytest.fixture(scope="module")
def running() -> Iterator[dict[str, Future[Report]]]:
    """All of them, run side by side: they mostly wait."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        yield {each.version: pool.submit(run_rooms, each) for each in FOUND}


@pytest.mark.skipif(not FOUND, reason=f"no other CPython of {', '.join(VERSIONS)} is here")
@pytest.mark.parametrize("version", [each.version for each in FOUND])
def test_the_runtime_passes_on(version: str, running: dict[str, Future[Report]]) -> None:
    # pytest would show the stacks after a minute; this takes two, and has a limit of its own.
    faulthandler.cancel_dump_traceback_later()
    report = running[version].result()
    if not report.installed:
        pytest.skip(
            f"CPython {version} is here, what the tests need is not: {report.output[-300:]}"
        )
    assert report.passed, report.output[-20_000:]
