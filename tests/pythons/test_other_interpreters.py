"""The runtime passes its tests on every other supported CPython that this machine has."""

from __future__ import annotations

import faulthandler

import pytest
from pythons.interpreters import VERSIONS, Interpreter, others
from pythons.rooms import run_rooms

FOUND = others()


@pytest.mark.skipif(not FOUND, reason=f"no other CPython of {', '.join(VERSIONS)} is here")
@pytest.mark.parametrize("interpreter", FOUND, ids=lambda each: each.version)
def test_the_runtime_passes_on(interpreter: Interpreter) -> None:
    # pytest would show the stacks after a minute; this takes two, and has a limit of its own.
    faulthandler.cancel_dump_traceback_later()
    report = run_rooms(interpreter)
    if not report.installed:
        pytest.skip(f"CPython {interpreter.version} is here, not what the tests need: no network?")
    assert report.passed, report.output[-20_000:]
