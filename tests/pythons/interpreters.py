"""Interpreters: the other versions of CPython on this machine, each with an environment of its own.

Place     tests/pythons; __main__.py and test_other_interpreters.py ask it.
Promise   an environment stands in the repository's root (`.venv-3.12`) and holds this checkout with
          all it needs, the accelerator built. It is brought up to date when what it was made from
          has changed. One at a time: they are built in the same folder.
Not here  what is run in it (rooms.py).
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path

__all__ = ["ROOT", "VERSIONS", "Interpreter", "NotInstalled", "clean_environment", "others"]

ROOT = Path(__file__).parents[2]

# What pyproject.toml says, and one more that it will say once it was run.
VERSIONS = ("3.11", "3.12", "3.13", "3.14")

# Minutes on a slow line, for all the libraries that the tests drive.
INSTALL_S = 900

# An environment is as old as the newest of these: its dependencies, and the accelerator's source.
_SOURCES = ("pyproject.toml", "setup.py", "src/verdant/core/_speedups*.[ch]")

_building = threading.Lock()


class NotInstalled(Exception):
    """Raised when an environment could not be made; its text is pip's."""


@dataclass(frozen=True, slots=True)
class Interpreter:
    """One version and the program that runs it."""

    version: str
    program: Path

    @property
    def python(self) -> Path:
        """Python inside the environment."""
        return ROOT / f".venv-{self.version}" / "bin" / "python"

    def prepare(self) -> None:
        """Make the environment, unless it is up to date. Raises `NotInstalled`. Blocks."""
        with _building:
            self._prepare()

    def _prepare(self) -> None:
        home = self.python.parents[1]
        stamp = home / ".installed-dev"
        newest = max(file.stat().st_mtime for name in _SOURCES for file in ROOT.glob(name))
        if stamp.exists() and stamp.stat().st_mtime >= newest:
            return
        pip = [str(self.python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        for command in (
            [str(self.program), "-m", "venv", str(home)],
            [*pip, "--editable", ".[all,dev]"],
        ):
            try:
                done = subprocess.run(
                    command,
                    cwd=ROOT,
                    env=clean_environment(),
                    capture_output=True,
                    text=True,
                    timeout=INSTALL_S,
                    check=False,
                )
            except subprocess.TimeoutExpired as exc:
                raise NotInstalled(f"{exc}: no network?") from None
            if done.returncode:
                raise NotInstalled((done.stdout + done.stderr)[-2000:])
        stamp.touch()


def clean_environment() -> dict[str, str]:
    """Ours without what steers this Python and this test run: the other one is not it."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PYTHON", "PYTEST", "COVERAGE", "VIRTUAL_ENV", "VERDANT_"))
    }


def others() -> list[Interpreter]:
    """Every supported version that this machine has, but for the one that runs now."""
    own = f"{sys.version_info.major}.{sys.version_info.minor}"
    found = (_find(version) for version in VERSIONS if version != own)
    return [interpreter for interpreter in found if interpreter is not None]


def _find(version: str) -> Interpreter | None:
    places = [shutil.which(f"python{version}")]
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    places += [
        str(home / "bin" / f"python{version}")
        for home in sorted(pyenv.glob(f"{version}*"), reverse=True)
    ]
    for place in places:
        if place is not None and _is(version, place):
            return Interpreter(version, Path(place))
    return None


def _is(version: str, program: str) -> bool:
    # pyenv puts a shim of every version it has into the path, and most of them only complain.
    text = "import sys; print('%d.%d' % sys.version_info[:2], sys.implementation.name)"
    try:
        done = subprocess.run(
            [program, "-c", text],
            env=clean_environment(),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    except OSError:
        return False
    return done.stdout.split() == [version, "cpython"]
