"""Programs in processes of their own, on `verdant.eventlet` and on Eventlet itself."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from eventlet_side import EVENTLET_IS_INSTALLED, Program, as_eventlet

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PROGRAMS = Path(__file__).parent / "programs"


@pytest.fixture(params=["verdant", "eventlet"])
def start(request: Any, tmp_path: Path) -> Iterator[Callable[..., Program]]:
    """Start a program by name, with arguments; run once on Verdant and once on Eventlet."""
    side: str = request.param
    if side == "eventlet":
        if not EVENTLET_IS_INSTALLED:
            pytest.skip("eventlet is not installed")
        marker = request.node.get_closest_marker("differs")
        if marker is not None:
            pytest.skip(marker.args[0])
    started: list[Program] = []
    folder = PROGRAMS
    if side == "eventlet":
        folder = tmp_path / "programs"
        folder.mkdir()
        for path in PROGRAMS.glob("*.py"):
            (folder / path.name).write_text(as_eventlet(path.read_text()))

    def run(name: str, *arguments: object) -> Program:
        program = Program(folder / f"{name}.py", tuple(map(str, arguments)))
        started.append(program)
        return program

    yield run
    for program in started:
        program.process.kill()
        program.process.communicate()
