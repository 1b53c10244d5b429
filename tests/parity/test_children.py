"""Child processes: the stdlib's own Popen, no SIGCHLD handler, nothing left behind."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def test_popen_is_the_stdlibs_and_no_signal_is_touched(run_program: Callable[..., str]) -> None:
    run_program("""
import signal, subprocess
before = subprocess.Popen, signal.getsignal(signal.SIGCHLD)
from verdant.patcher import monkey_patch
monkey_patch()
assert subprocess.run(["true"]).returncode == 0
assert before == (subprocess.Popen, signal.getsignal(signal.SIGCHLD))
# A handler of the program's own is called, and harms no wait.
heard = []
signal.signal(signal.SIGCHLD, lambda *_: heard.append(1))
assert subprocess.run(["true"]).returncode == 0
assert heard
""")


def test_many_children_at_once_leave_no_zombie_and_no_descriptor(
    run_patched: Callable[..., str],
) -> None:
    run_patched("""
import os, subprocess
def run(number):
    done = subprocess.run(["cat"], input=b"%d" % number, capture_output=True, timeout=60)
    return done.returncode, done.stdout
spawn(run, 0).wait()
before = sorted(os.listdir("/proc/self/fd"))
children = [spawn(run, number) for number in range(40)]
assert [child.wait() for child in children] == [(0, b"%d" % n) for n in range(40)]
assert sorted(os.listdir("/proc/self/fd")) == before
try:
    os.waitpid(-1, os.WNOHANG)
except ChildProcessError:
    pass
else:
    raise AssertionError("a child was left")
""")


def test_several_wait_for_one_child(run_patched: Callable[..., str]) -> None:
    run_patched("""
import subprocess
with subprocess.Popen(["sh", "-c", "read line; exit 7"], stdin=subprocess.PIPE) as child:
    waiting = [spawn(child.wait) for _ in range(5)]
    sleep(0)
    child.communicate(b"go")
    assert [thread.wait() for thread in waiting] == [7] * 5
""")


def test_a_child_that_somebody_else_collected(run_patched: Callable[..., str]) -> None:
    run_patched("""
import os, subprocess
child = subprocess.Popen(["sh", "-c", "exit 3"])
assert os.waitpid(child.pid, 0) == (child.pid, 3 << 8)
# As in the stdlib: the status is gone, and that is no hang.
assert child.wait() == 0
""")


def test_text_that_is_no_text_and_closed_standard_streams(run_patched: Callable[..., str]) -> None:
    run_patched("""
import subprocess, sys
out = subprocess.check_output(["printf", "\\\\377"], text=True, errors="surrogateescape")
assert out == "\\udcff", ascii(out)
program = '''
import os, subprocess, sys
os.close(0)
from verdant.patcher import monkey_patch
monkey_patch()
done = subprocess.run(["cat"], input=b"in", capture_output=True)
sys.exit(0 if done.stdout == b"in" else 1)
'''
assert subprocess.run([sys.executable, "-c", program]).returncode == 0
""")
