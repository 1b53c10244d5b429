"""Child: run CPython's test modules in this process, patched or not, and note each outcome.

Place     tests/stdlib; runner.py starts it as a program: PATCH NOTES_FD DONE ONLY MODULE...
Promise   the patch comes before any other import. One JSON line per event is written to NOTES_FD
          as it happens, so that whoever reads sees which test was running when this process hangs
          or dies. Tests named in the file DONE are left out, and those not in ONLY if it is given.
Not here  limits, restarts, and what an outcome means (runner.py).
"""

import os
import sys

# Kept before the patch: a note must not park, or it would change what is being tested.
_write = os.write
_PATCH, _NOTES_FD, _DONE, _ONLY, *_MODULES = sys.argv[1:]

if _PATCH == "verdant":
    from verdant.patcher import monkey_patch

    monkey_patch()
elif _PATCH == "gevent":
    import gevent.monkey  # type: ignore[import-untyped,import-not-found,unused-ignore]

    gevent.monkey.patch_all()
elif _PATCH == "eventlet":
    import eventlet  # type: ignore[import-not-found,import-untyped,unused-ignore]

    eventlet.monkey_patch()  # type: ignore[attr-defined,unused-ignore]

import json  # noqa: E402 - the patch comes first
import time  # noqa: E402
import traceback  # noqa: E402
import unittest  # noqa: E402
from collections import Counter  # noqa: E402
from collections.abc import Iterator  # noqa: E402
from typing import Any  # noqa: E402

# Resources of CPython's own test runner that need neither another machine nor a screen.
RESOURCES = ("cpu", "subprocess", "walltime")
# Modules that ask for the network as a whole and then use loopback; but for these tests, which talk
# to other machines and are never run.
LOOPBACK = ("test.test_socketserver", "test.test_timeout")
FOREIGN = ("testConnectTimeout", "testRecvTimeout")


def note(**event: str | list[str]) -> None:
    """Write one event. In this process alone: a test's forked child shares the descriptor."""
    if os.getpid() == _PID:
        _write(_FD, json.dumps(event).encode() + b"\n")


def leaves(suite: unittest.TestSuite | unittest.TestCase) -> Iterator[unittest.TestCase]:
    """The tests of `suite` in the order in which they would run."""
    if isinstance(suite, unittest.TestSuite):
        for part in suite:
            yield from leaves(part)
    else:
        yield suite


class Result(unittest.TestResult):
    """Notes what happens to each test; keeps nothing."""

    def __init__(self, names: dict[int, str]) -> None:
        super().__init__()
        self.names = names
        self.bad = False

    def _name(self, test: Any) -> str:
        return self.names.get(id(test)) or str(test.id())

    def startTest(self, test: unittest.TestCase) -> None:
        super().startTest(test)
        self.bad = False
        note(event="start", test=self._name(test))

    def stopTest(self, test: unittest.TestCase) -> None:
        if not self.bad:
            note(event="pass", test=self._name(test))
        super().stopTest(test)
        try:
            # A Ctrl-C that reached nobody in its own test must not end the next one.
            time.sleep(0)
        except KeyboardInterrupt:
            return

    def _failed(self, test: Any, error: Any) -> None:
        self.bad = True
        note(event="fail", test=self._name(test), why="".join(traceback.format_exception(*error)))

    def addError(self, test: unittest.TestCase, err: Any) -> None:
        self._failed(test, err)

    def addFailure(self, test: unittest.TestCase, err: Any) -> None:
        self._failed(test, err)

    def addSubTest(self, test: unittest.TestCase, subtest: unittest.TestCase, err: Any) -> None:
        if err is not None:
            self._failed(test, err)

    def addSkip(self, test: unittest.TestCase, reason: str) -> None:
        self.bad = True
        note(event="skip", test=self._name(test), why=reason)

    def addUnexpectedSuccess(self, test: unittest.TestCase) -> None:
        self.bad = True
        note(event="fail", test=self._name(test), why="it passed although it is expected to fail")


def _names_in(path: str) -> set[str]:
    with open(path, encoding="utf-8") as file:
        return set(file.read().splitlines())


def main() -> None:
    """Load, leave out what is done, run, end."""
    from test import support  # type: ignore[import-not-found,unused-ignore] # has no stubs

    resources = [*RESOURCES, *(["network"] if set(_MODULES) & set(LOOPBACK) else [])]
    support.use_resources = resources
    done = _names_in(_DONE)
    only = _names_in(_ONLY) if _ONLY else None
    suite = unittest.TestSuite()
    names: dict[int, str] = {}
    seen: Counter[str] = Counter()
    for module in _MODULES:
        for test in leaves(unittest.defaultTestLoader.loadTestsFromName(module)):
            name = test.id()
            if module in LOOPBACK and name.endswith(FOREIGN):
                continue
            seen[name] += 1
            if seen[name] > 1:
                name = f"{name}#{seen[name]}"
            names[id(test)] = name
            if name not in done and (only is None or name in only):
                suite.addTest(test)
    note(event="plan", tests=[names[id(test)] for test in leaves(suite)])
    suite.run(Result(names))
    note(event="end")


_FD = int(_NOTES_FD)
_PID = os.getpid()
main()
