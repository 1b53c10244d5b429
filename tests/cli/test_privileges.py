from __future__ import annotations

import json
import os
import pwd
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from verdant.cli.privileges import become
from verdant.errors import ConfigurationError

if TYPE_CHECKING:
    from pathlib import Path

PROGRAM = """
import ctypes, json, os, signal, sys
from pathlib import Path
from verdant.cli.privileges import become

libc = ctypes.CDLL(None)
libc.prctl(1, signal.SIGTERM)
become("nobody", None, sys.argv[1])
death_signal = ctypes.c_int()
libc.prctl(2, ctypes.byref(death_signal))
try:
    os.setuid(0)
except PermissionError:
    again = False
else:
    again = True
(Path(sys.argv[1]) / "mine").write_text("x")
print(json.dumps([os.getresuid(), os.getresgid(), os.getgroups(), death_signal.value, again]))
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_nothing_of_root_is_left(tmp_path: Path) -> None:
    for parent in (tmp_path, *tmp_path.parents[:2]):
        parent.chmod(0o755)
    state = tmp_path / "state"
    state.mkdir(mode=0o755)
    (state / "old").write_text("x")
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(state)], capture_output=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr.decode()
    uids, gids, groups, death_signal, again = json.loads(done.stdout)
    nobody = pwd.getpwnam("nobody")
    assert uids == [nobody.pw_uid] * 3
    assert gids == [nobody.pw_gid] * 3
    assert 0 not in groups
    assert death_signal == 15
    assert not again
    assert (state / "old").stat().st_uid == nobody.pw_uid


def test_who_we_are_already_needs_no_root(tmp_path: Path) -> None:
    become(str(os.getuid()), None, str(tmp_path / "untouched"))
    assert not (tmp_path / "untouched").exists()


def test_a_group_that_there_is_not_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"balancer\.group: there is no group 'no-such'"):
        become(str(os.getuid()), "no-such", str(tmp_path))
