from __future__ import annotations

import socket as native_socket
import sys
import threading
import time
import types
from typing import TYPE_CHECKING, Any

import pytest

from verdant import eventlet
from verdant.eventlet import patcher
from verdant.eventlet.green import socket

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    monkeypatch.syspath_prepend(tmp_path)

    def write(name: str, text: str) -> None:
        (tmp_path / f"{name}.py").write_text(text)

    return write


def test_import_patched(module: Callable[[str, str], None]) -> None:
    module("uses_socket", "import socket\nimport time\nfrom socket import socket as s\n")
    green: Any = eventlet.import_patched("uses_socket")
    assert green.socket.socket is socket.socket
    assert green.s is socket.socket
    assert green.time.sleep is not time.sleep
    assert "uses_socket" not in sys.modules
    assert sys.modules["socket"] is native_socket
    assert sys.modules["time"] is time
    import uses_socket  # type: ignore[import-not-found]

    assert uses_socket.socket is native_socket


def test_import_patched_with_modules_of_ones_own(module: Callable[[str, str], None]) -> None:
    module("uses_two", "import socket, time\n")
    pairs: Any = eventlet.import_patched("uses_two", ("socket", socket))
    assert pairs.socket is socket
    assert pairs.time is time


def test_import_patched_with_keywords(module: Callable[[str, str], None]) -> None:
    module("uses_fake", "import socket\n")
    fake = types.ModuleType("fake")
    names: Any = eventlet.import_patched("uses_fake", socket=fake)
    assert names.socket is fake


def test_inject(module: Callable[[str, str], None]) -> None:
    module("to_inject", "import socket\nvalue = 5\n_private = 6\n")
    names: dict[str, Any] = {}
    patcher.inject("to_inject", names)
    assert names["value"] == 5
    assert names["_private"] == 6
    assert names["socket"].socket is socket.socket
    assert "__name__" not in names


@pytest.mark.differs("in Eventlet late imports escape")
def test_late_imports_are_green_too(module: Callable[[str, str], None]) -> None:
    module("late_import", "def f():\n    import socket\n    return socket.socket\n")
    green: Any = eventlet.import_patched("late_import")
    assert green.f() is socket.socket


@pytest.mark.differs("in Eventlet what is imported for the first time stays green for everybody")
def test_nothing_else_turns_green(module: Callable[[str, str], None]) -> None:
    module("first_time", "import socket\n")
    module("importer", "import first_time, socket\n")
    eventlet.import_patched("importer")
    import first_time  # type: ignore[import-not-found]

    assert first_time.socket is native_socket


def test_errors_are_those_of_an_import() -> None:
    with pytest.raises(ImportError):
        eventlet.import_patched("no_such_module_at_all")
    assert sys.modules["socket"] is native_socket


def test_nothing_is_patched_here() -> None:
    for name in ("socket", "thread", "threading", "time", "os", "select"):
        assert not patcher.is_monkey_patched(name)
    assert not patcher.is_monkey_patched(time)


def test_originals() -> None:
    original: Any = patcher.original("threading")
    ran: list[int] = []
    thread = original.Thread(target=lambda: ran.append(original.get_ident()))
    thread.start()
    thread.join()
    assert ran
    assert ran[0] != threading.get_ident()
    assert patcher.original("time").sleep(0) is None


def test_unknown_groups_are_refused() -> None:
    with pytest.raises(TypeError, match="sockets"):
        eventlet.monkey_patch(sockets=True)


def test_slurp_properties() -> None:
    names: dict[str, Any] = {}
    patcher.slurp_properties(time, names, ignore=["sleep"], srckeys=["sleep", "time", "__name__"])
    assert names == {"time": time.time}
