"""Private copies of modules in a process that is patched."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def test_green_modules_are_the_processs_own_once_patched(
    run_patched: Callable[..., str],
) -> None:
    run_patched("""
import queue, select, socket, ssl, threading, time
from verdant.patcher import import_green
for module in (queue, select, socket, ssl, threading, time):
    assert import_green(module.__name__) is module, module
""")


def test_native_modules_undo_the_patch(run_patched: Callable[..., str]) -> None:
    run_patched("""
import _socket, socket, threading, time, queue, select
from verdant.patcher import native_module, original

native = native_module("socket")
assert native.socket is original("socket", "socket") and native.socket is not socket.socket
assert native.create_connection.__globals__ is vars(native)
assert native_module("time").sleep is original("time", "sleep")
assert native_module("select").poll is original("select", "poll")

threads = native_module("threading")
assert threads is not threading and threads.Lock is not threading.Lock
import _thread
seen = []
def work():
    import greenlet
    seen.append((threads.get_ident(), greenlet.getcurrent().parent))
worker = threads.Thread(target=work)
worker.start()
worker.join()
ident, parent = seen[0]
assert ident != threads.get_ident() and parent is None

line = native_module("queue").Queue()
filler = threads.Thread(target=lambda: line.put("from a native thread"))
filler.start()
assert line.get(timeout=30) == "from a native thread"
filler.join()
""")
