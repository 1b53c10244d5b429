"""Suite: pyzmq's own tests, fetched as its sdist, run with its sockets and with ours.

Place     tests/pyzmq; test_pyzmq.py asks it.
Promise   the tests are of the very version that is installed. Each run is a process of its own,
          with an end to its time; a test without an outcome counts as lost.
Not here  what is expected (known.toml, test_pyzmq.py).
"""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import tempfile
import xml.etree.ElementTree as ElementTree
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import zmq

import verdant

__all__ = ["FILES", "NotFetched", "fetch", "run_both"]

# Left out: other loops (asyncio, tornado, gevent), authenticators and log handlers on those or in
# native threads, the build (cython, cffi, mypy), ssh, Windows, and devices in native threads.
FILES = (
    *("constants", "context", "curve_keygen", "decorators", "error", "etc", "includes"),
    *("message", "monitor", "multipart", "pair", "poll", "proxy_steerable", "pubsub", "reqrep"),
    *("retry_eintr", "security", "socket", "version", "z85"),
)

# It sends two GiB.
LEFT_OUT = ("test_socket.py::TestSocket::test_large_send",)

# Seconds for a run, whose tests take some twenty, and for the download.
RUN_S_MAX = 120
FETCH_S_MAX = 120

PASSED = "passed"


class NotFetched(Exception):
    """The sdist is not to be had here."""


def fetch() -> Path:
    """The folder of pyzmq's tests, from the cache or from the package index."""
    version = zmq.pyzmq_version()
    home = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    cache = Path(home) / "verdant-tests"
    tests = cache / f"pyzmq-{version}" / "tests"
    if tests.is_dir():
        return tests
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache) as scratch:
        command = [
            *(sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"),
            *("--no-binary", "pyzmq", "--dest", scratch, f"pyzmq=={version}"),
        ]
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=FETCH_S_MAX, check=False
            )
        except subprocess.TimeoutExpired as exc:
            raise NotFetched(f"the package index did not answer in {FETCH_S_MAX} s") from exc
        archives = list(Path(scratch).glob("*.tar.gz"))
        if done.returncode or not archives:
            raise NotFetched(done.stderr[-300:])
        with tarfile.open(archives[0]) as archive:
            archive.extractall(scratch, filter="data")
        (Path(scratch) / f"pyzmq-{version}").rename(tests.parent)
    return tests


def run_both(tests: Path) -> tuple[dict[str, str], dict[str, str]]:
    """Each test's outcome with pyzmq's sockets and with ours, by its name; side by side."""
    with ThreadPoolExecutor(2) as pool:
        plain = pool.submit(_run, tests, "plain_side")
        ours = pool.submit(_run, tests, "verdant_side")
        return plain.result(), ours.result()


def _run(tests: Path, side: str) -> dict[str, str]:
    with tempfile.TemporaryDirectory() as scratch:
        report = Path(scratch) / "report.xml"
        path = (Path(__file__).parent, Path(verdant.__file__).parent.parent)
        environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("PYTHON", "PYTEST", "COVERAGE"))
        }
        environment.update(
            PYTHONPATH=os.pathsep.join(map(str, path)),
            PYTHONDONTWRITEBYTECODE="1",
        )
        command = [
            *(sys.executable, "-m", "pytest", "-q", "-p", side, "-p", "no:cacheprovider"),
            *("--rootdir", str(tests), "-c", os.devnull, f"--junitxml={report}"),
            *("-o", "asyncio_mode=auto"),
            *(f"--deselect={name}" for name in LEFT_OUT),
            *(f"test_{name}.py" for name in FILES),
        ]
        child = subprocess.Popen(
            command,
            cwd=tests,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            child.wait(RUN_S_MAX)
        finally:
            child.kill()
            child.wait()
        return _outcomes(report) if report.exists() else {}


def _outcomes(report: Path) -> dict[str, str]:
    found: dict[str, str] = {}
    # Written by the child above.
    for case in ElementTree.parse(report).iter("testcase"):
        bad = [part for part in case if part.tag in ("failure", "error", "skipped")]
        name = f"{case.get('classname', '').removeprefix('tests.')}.{case.get('name')}"
        found[name] = f"{bad[0].tag}: {bad[0].get('message')}" if bad else PASSED
    return found
