"""`verdant run`: a script under the patch, by the installed command."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

VERDANT = str(Path(sys.executable).parent / "verdant")

SCRIPT = """
import socket, sys, threading, time
from beside import name
left, right = socket.socketpair()
got = []
thread = threading.Thread(target=lambda: got.append(right.recv(10)))
thread.start()
time.sleep(0)
left.sendall(b"x")
thread.join()
print(__name__, __file__ == sys.argv[0], name, sys.argv[1:], got, threading.active_count())
from verdant.green.socket import socket as green
assert type(left) is green
sys.exit(7)
"""


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [VERDANT, "run", *arguments], capture_output=True, text=True, timeout=60, check=False
    )


def test_a_script_runs_patched_as_python_would_run_it(tmp_path: Path) -> None:
    (tmp_path / "beside.py").write_text("name = 'beside'\n")
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    done = run(str(script), "a", "--help", "-b")
    assert done.stderr == ""
    assert done.stdout == "__main__ True beside ['a', '--help', '-b'] [b'x'] 1\n"
    assert done.returncode == 7


def test_a_script_that_fails_shows_its_own_traceback(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text("raise LookupError('mine')\n")
    done = run(str(script))
    assert done.returncode == 1
    assert done.stderr.endswith("LookupError: mine\n")


def test_a_script_that_is_not_there_is_a_sentence() -> None:
    done = run("/no/such/script.py")
    assert done.returncode == 2
    assert "/no/such/script.py" in done.stderr
    assert "Traceback" not in done.stderr
