"""What was made or imported before the patch."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def test_patching_twice_changes_nothing(run_program: Callable[..., str]) -> None:
    run_program("""
import socket, time
native = time.sleep, socket.socket
from verdant.patcher import is_patched, monkey_patch, original
monkey_patch(thread=False, select=False, os=False, subprocess=False, queue=False, ssl=False,
             socket=False)
assert is_patched("time") and not is_patched("socket") and not is_patched("threading")
assert socket.socket is native[1]
monkey_patch()
green = time.sleep, socket.socket
monkey_patch()
assert (time.sleep, socket.socket) == green
assert is_patched("socket") and is_patched("ssl") and is_patched("threading")
assert (original("time", "sleep"), original("socket", "socket")) == native
assert original("os", "getpid")
""")


def test_no_name_is_lost_and_none_is_added(run_program: Callable[..., str]) -> None:
    run_program("""
import _thread, os, queue, select, selectors, socket, ssl, subprocess, threading, time
modules = _thread, os, queue, select, selectors, socket, ssl, subprocess, threading, time
before = [set(vars(m)) for m in modules]
from verdant.patcher import monkey_patch
monkey_patch()
assert [set(vars(m)) for m in modules] == before
""")


def test_names_imported_too_early_are_named(
    run_program: Callable[..., str], tmp_path: Path
) -> None:
    (tmp_path / "early.py").write_text("from socket import socket as Plain\nfrom time import sleep")
    out = run_program(
        """
import sys, warnings
sys.path.insert(0, sys.argv[1])
import early
from verdant.patcher import PatchWarning, monkey_patch
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    monkey_patch()
assert all(w.category is PatchWarning and w.filename == "<string>" for w in caught)
print("\\n".join(sorted(str(w.message) for w in caught)))
""",
        str(tmp_path),
    )
    assert out.splitlines() == [
        "early.Plain is still the blocking socket.socket: it was imported before monkey_patch(),"
        " which must come first",
        "early.sleep is still the blocking time.sleep: it was imported before monkey_patch(),"
        " which must come first",
    ]


def test_locks_made_before_become_green(run_program: Callable[..., str]) -> None:
    run_program("""
import logging, queue, sys, threading
lock, held = threading.Lock(), threading.Lock()
held.acquire()
handler = logging.StreamHandler()
event, items = threading.Event(), queue.Queue()
reentrant = threading.Condition(threading.RLock())
import warnings
from verdant.patcher import monkey_patch
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    monkey_patch()
assert len(caught) == 1
assert str(caught[0].message).startswith("__main__.held is still a native lock, since it is held")
from verdant import sleep, spawn
from verdant.green.thread import Lock, RLock
assert type(lock) is Lock
assert type(logging._lock) is RLock
assert type(handler.lock) is RLock
assert type(threading._active_limbo_lock) is RLock
assert items.mutex is items.not_empty._lock is items.not_full._lock
assert type(items.mutex) is Lock
assert type(reentrant._lock) is RLock
assert held.locked() and type(held) is not Lock
held.release()
waiting = [spawn(event.wait), spawn(items.get)]
sleep(0)
event.set()
items.put("item")
assert [thread.wait() for thread in waiting] == [True, "item"]
""")


def test_selectors_contexts_and_children_imported_before_are_green(
    run_program: Callable[..., str],
) -> None:
    run_program("""
from selectors import EVENT_READ, DefaultSelector
from ssl import PROTOCOL_TLS_CLIENT, SSLContext
from subprocess import PIPE, Popen
context = SSLContext(PROTOCOL_TLS_CLIENT)
from verdant.patcher import monkey_patch
monkey_patch()
import os
from verdant import sleep, spawn
from verdant.green.ssl import SSLSocket
assert context.sslsocket_class is SSLSocket
reader, writer = os.pipe()
with DefaultSelector() as selector:
    selector.register(reader, EVENT_READ)
    waiting = spawn(selector.select)
    sleep(0)
    os.write(writer, b"x")
    assert len(waiting.wait()) == 1
with Popen(["cat"], stdin=PIPE) as child:
    waiting = spawn(child.wait)
    sleep(0)
    child.stdin.close()
    assert waiting.wait() == 0
""")


def test_a_native_thread_gets_a_hub_of_its_own(run_program: Callable[..., str]) -> None:
    run_program("""
from verdant.patcher import monkey_patch
monkey_patch()
import threading
from verdant import sleep, spawn
from verdant.core.originals import start_new_thread
done = threading.Event()
def native():
    assert spawn(lambda: sleep(0) or 42).wait() == 42
    done.set()
start_new_thread(native, ())
sleep(0)
assert done.wait()
""")


def test_patching_in_a_green_thread_is_refused(run_program: Callable[..., str]) -> None:
    run_program("""
from verdant import spawn
from verdant.patcher import PatchError, monkey_patch
try:
    spawn(monkey_patch).wait()
except PatchError as exc:
    assert "call it first" in str(exc)
else:
    raise AssertionError("it was not refused")
""")
