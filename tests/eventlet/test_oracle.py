"""The other tests of this room say what Eventlet does: so they must hold for Eventlet itself.

Each file runs a second time with its imports changed back, in a process of its own. A test that is
marked `differs` describes a deliberate difference: Eventlet has to fail it.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from eventlet_side import EVENTLET_IS_INSTALLED, as_eventlet

HERE = Path(__file__).parent
FILES = sorted(
    path.name
    for path in HERE.glob("test_*.py")
    # These look at both sides themselves; Eventlet's asyncio needs a hub of its own.
    if path.name not in ("test_oracle.py", "test_programs.py", "test_names.py", "test_asyncio.py")
)
RUN_S = 60

CONFTEST = """
import pytest

def pytest_configure(config):
    config.addinivalue_line("markers", "differs(why, hangs=False): Eventlet does something else")

def pytest_collection_modifyitems(items):
    for item in items:
        marker = item.get_closest_marker("differs")
        if marker is not None and marker.kwargs.get("hangs"):
            item.add_marker(pytest.mark.skip("would never end"))
        elif marker is not None:
            item.add_marker(pytest.mark.xfail(strict=True, reason=marker.args[0]))
"""


@pytest.mark.skipif(not EVENTLET_IS_INSTALLED, reason="eventlet is not installed")
@pytest.mark.parametrize("name", FILES)
def test_eventlet_itself_passes(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(as_eventlet((HERE / name).read_text()))
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "pytest", "-q", "-p", "no:cacheprovider", name],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=RUN_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "passed" in done.stdout
