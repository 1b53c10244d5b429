"""The reference names what there is: every name of the door, every error's code, and no other."""

from __future__ import annotations

import pkgutil
import re
import subprocess
import sys
import warnings
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import verdant
from verdant.errors import Cancelled, VerdantError

if TYPE_CHECKING:
    from types import ModuleType

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "docs/reference"
MODULES = [
    module.name
    for module in pkgutil.walk_packages(verdant.__path__, "verdant.")
    # It runs when it is imported.
    if not module.name.endswith("__main__")
]


def first_column(document: str) -> list[str]:
    text = (REFERENCE / document).read_text()
    return re.findall(r"^\| `([\w-]+)` \|", text, re.M)


def load(name: str) -> ModuleType | None:
    """The module; None for a twin of a stdlib module that this Python no longer has."""
    with warnings.catch_warnings():
        # Of the stdlib's own, about those that it will not have much longer.
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            return import_module(name)
        except ModuleNotFoundError as exc:
            if exc.name in sys.stdlib_module_names or not name.startswith("verdant.eventlet.green"):
                raise
            return None


def errors() -> dict[str, type[BaseException]]:
    """Every error class with a code of its own, by that code."""
    for name in MODULES:
        load(name)
    found: dict[str, type[BaseException]] = {}
    remaining: list[type[VerdantError | Cancelled]] = [VerdantError, Cancelled]
    while remaining:
        kind = remaining.pop()
        remaining.extend(kind.__subclasses__())
        if "code" in vars(kind) and kind.__module__.startswith("verdant."):
            assert kind.code not in found, f"{kind} has the code of {found[kind.code]}"
            found[kind.code] = kind
    return found


def test_every_name_of_the_door_is_described_and_no_other() -> None:
    assert sorted(first_column("runtime.md")) == sorted(verdant.__all__)


def test_every_error_code_is_described_and_no_other() -> None:
    assert sorted(first_column("errors.md")) == sorted(errors())


def test_every_code_stands_beside_its_error() -> None:
    text = (REFERENCE / "errors.md").read_text()
    for code, kind in errors().items():
        assert re.search(rf"^\| `{code}` \| `{kind.__name__}`", text, re.M), code


def test_every_error_has_a_code_of_its_own() -> None:
    for kind in errors().values():
        for heir in kind.__subclasses__():
            if heir.__module__.startswith("verdant."):
                # A Timeout is the one that is also what it raises.
                assert "code" in vars(heir) or heir.__name__ == "Timeout", heir


@pytest.mark.parametrize("name", MODULES)
def test_a_doors_names_are_there(name: str) -> None:
    module = load(name)
    for attribute in getattr(module, "__all__", ()):
        assert hasattr(module, attribute), attribute


def test_importing_everything_starts_nothing() -> None:
    """No thread, descriptor or patch comes of an import alone."""
    program = """
import sys, threading, os, importlib
before = len(os.listdir("/proc/self/fd"))
for name in sys.argv[1:]:
    importlib.import_module(name)
assert threading.active_count() == 1, threading.enumerate()
assert len(os.listdir("/proc/self/task")) == 1, os.listdir("/proc/self/task")
assert len(os.listdir("/proc/self/fd")) == before, os.listdir("/proc/self/fd")
from verdant.patcher import is_patched
assert not is_patched("socket")
"""
    runtime = [
        name
        for name in MODULES
        if not name.startswith(("verdant.logs", "verdant.balancer", "verdant.cli", "verdant.zmq"))
    ]
    done = subprocess.run(
        [sys.executable, "-c", program, *runtime], capture_output=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
