"""CPython's own tests of asyncio's loops, run against ours, in the green thread of a loop."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys

import pytest

PROGRAM = """
import asyncio, sys, unittest
from importlib import import_module
from verdant.aio.loop import Loop, LoopThread
from verdant.aio.selector import HubSelector

module, *names = sys.argv[1:]
tests = import_module(module)
selects = []
select = HubSelector.select
def counted(self, timeout=None):
    selects.append(timeout)
    return select(self, timeout)
HubSelector.select = counted

asyncio.new_event_loop = Loop
for name in names:
    getattr(tests, name).create_event_loop = lambda self: Loop()
loader = unittest.defaultTestLoader
suite = (
    unittest.TestSuite(loader.loadTestsFromTestCase(getattr(tests, name)) for name in names)
    if names else loader.loadTestsFromModule(tests)
)
runner = unittest.TextTestRunner(verbosity=2)
thread = LoopThread(lambda: runner.run(suite), "tests")
outcome = thread.wait()
print(outcome.testsRun, len(outcome.failures) + len(outcome.errors), len(selects))
"""

# What Debian packs apart from Python.
needs_tests = pytest.mark.skipif(
    importlib.util.find_spec("test.test_asyncio") is None,
    reason="this Python comes without its own tests",
)


@needs_tests
@pytest.mark.parametrize(
    ("module", "classes", "tests_min"),
    [
        ("test.test_asyncio.test_events", ["EPollEventLoopTests"], 50),
        ("test.test_asyncio.test_sock_lowlevel", ["EPollEventLoopTests"], 10),
        ("test.test_asyncio.test_streams", [], 50),
    ],
)
def test_cpythons_tests_pass(module: str, classes: list[str], tests_min: int) -> None:
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", PROGRAM, module, *classes],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    found = re.search(r"^(\d+) (\d+) (\d+)$", done.stdout, re.M)
    assert found is not None, done.stderr
    run, failed, selects = map(int, found.groups())
    assert failed == 0, done.stderr
    assert run >= tests_min
    # They did wait in our selector.
    assert selects > run
