"""Processes that fork under the patch: what the stdlib promises of the child holds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.mark.parametrize("forker", ["main", "a thread"])
def test_of_all_threads_the_one_that_forked_is_left(
    forker: str, run_patched: Callable[..., str]
) -> None:
    run_patched(
        """
import _thread, os, sys, threading
go = threading.Event()
others = [threading.Thread(target=go.wait) for _ in range(3)]
for thread in others: thread.start()
statuses = []
def fork():
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            me = threading.current_thread()
            assert threading.enumerate() == [me] and threading.main_thread() is me
            assert me.ident == threading.get_ident()
            assert not any(thread.is_alive() for thread in others)
            for thread in others: thread.join()
            assert _thread._count() == (sys.argv[1] != "main")
            # The child can do all that its parent can.
            child = threading.Thread(target=sleep, args=(0,))
            child.start()
            child.join()
            assert spawn(lambda: sleep(0.001) or 42).wait() == 42
            status = 0
        finally:
            os._exit(status)
    statuses.append(os.waitpid(pid, 0)[1])
if sys.argv[1] == "main":
    fork()
else:
    forking = threading.Thread(target=fork)
    forking.start()
    forking.join()
assert statuses == [0]
assert all(thread.is_alive() for thread in others)
go.set()
for thread in others: thread.join()
""",
        forker,
    )


def test_hooks_run_on_both_sides(run_patched: Callable[..., str]) -> None:
    out = run_patched("""
import os
# One system call each, since both processes say theirs at once.
said = lambda text: lambda: os.write(1, text.encode() + b"\\n")
os.register_at_fork(before=said("before"), after_in_child=said("child"),
                    after_in_parent=said("parent"))
pid = os.fork()
if pid == 0:
    os._exit(0)
assert os.waitpid(pid, 0) == (pid, 0)
""")
    assert out.splitlines()[0] == "before"
    assert sorted(out.split()) == ["before", "child", "parent"]


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_multiprocessing(method: str, run_program: Callable[..., str], tmp_path: object) -> None:
    # In a file, since `spawn` imports the main module again.
    path = f"{tmp_path}/program.py"
    with open(path, "w", encoding="utf-8") as file:
        file.write(PROCESSES)
    run_program(
        "import runpy, sys; sys.argv[:] = sys.argv[1:]; runpy.run_path(sys.argv[0],"
        " run_name='__main__')",
        path,
        method,
    )


PROCESSES = """
from verdant.patcher import monkey_patch
monkey_patch()
import multiprocessing, sys
from concurrent.futures import ProcessPoolExecutor
from verdant import sleep, spawn

def double(number):
    return 2 * number

def answer(connection):
    connection.send(connection.recv() + ["and back"])

if __name__ == "__main__":
    context = multiprocessing.get_context(sys.argv[1])
    here, there = context.Pipe()
    process = context.Process(target=answer, args=(there,))
    process.start()
    turns = spawn(lambda: [sleep(0) for _ in range(10)])
    here.send(["there"])
    assert here.recv() == ["there", "and back"]
    process.join()
    assert process.exitcode == 0
    # Whether they all came before the child had answered is the scheduler's affair.
    turns.wait()
    with ProcessPoolExecutor(2, mp_context=context) as pool:
        assert list(pool.map(double, range(20))) == list(range(0, 40, 2))
"""
