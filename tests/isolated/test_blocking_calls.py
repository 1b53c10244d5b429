"""Every call that blocks in the stdlib lets others run under the patch.

Each program waits for what only another green thread of the same native thread can cause: one that
blocked would hang, and no clock is asked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

PROGRAMS = {
    "time.sleep": """
        import time
        sleeper = spawn(time.sleep, 3600)
        beside(sleeper.join, sleeper.cancel)
        """,
    "Lock": """
        import threading
        lock = threading.Lock()
        lock.acquire()
        assert beside(lock.acquire, lock.release)
        assert lock.locked()
        """,
    "RLock": """
        import threading
        lock = threading.RLock()
        held, free = threading.Event(), threading.Event()
        def hold():
            with lock, lock:
                held.set()
                free.wait()
        threading.Thread(target=hold).start()
        held.wait()
        assert not lock.acquire(blocking=False)
        assert beside(lock.acquire, free.set)
        """,
    "Event": """
        import threading
        event = threading.Event()
        assert beside(event.wait, event.set)
        """,
    "Condition": """
        import threading
        condition = threading.Condition()
        done = []
        def cause():
            with condition:
                done.append(1)
                condition.notify_all()
        with condition:
            assert beside(lambda: condition.wait_for(lambda: done), cause)
        """,
    "Semaphore": """
        import threading
        permits = threading.BoundedSemaphore(1)
        permits.acquire()
        assert beside(permits.acquire, permits.release)
        """,
    "Barrier": """
        import threading
        barrier = threading.Barrier(2)
        assert beside(barrier.wait, barrier.wait) in (0, 1)
        """,
    "Thread.join": """
        import threading
        go = threading.Event()
        thread = threading.Thread(target=go.wait)
        thread.start()
        assert thread.is_alive()
        beside(thread.join, go.set)
        assert not thread.is_alive()
        """,
    "Timer": """
        import threading
        fired = threading.Event()
        timer = threading.Timer(0.01, fired.set)
        timer.start()
        assert fired.wait()
        cancelled = threading.Timer(3600, fired.set)
        cancelled.start()
        beside(cancelled.join, cancelled.cancel)
        """,
    "queue.Queue": """
        import queue
        items = queue.Queue(maxsize=1)
        assert beside(items.get, lambda: items.put("item")) == "item"
        items.put("full")
        beside(lambda: items.put("more"), items.get)
        assert items.get() == "more"
        """,
    "queue.SimpleQueue": """
        import queue
        items = queue.SimpleQueue()
        assert beside(items.get, lambda: items.put("item")) == "item"
        """,
    "Future.result": """
        import threading
        from concurrent.futures import ThreadPoolExecutor
        go = threading.Event()
        with ThreadPoolExecutor(2) as pool:
            waiting = pool.submit(lambda: go.wait() and "result")
            assert beside(waiting.result, go.set) == "result"
            assert list(pool.map(str, range(100))) == [str(n) for n in range(100)]
        """,
    "select.select": """
        import select, socket
        left, right = socket.socketpair()
        with left, right:
            assert select.select([right], [left], [], 0) == ([], [left], [])
            found = beside(lambda: select.select([right], [], []), lambda: left.send(b"x"))
            assert found == ([right], [], [])
        """,
    "select.poll": """
        import select, socket
        left, right = socket.socketpair()
        with left, right:
            asked = select.poll()
            asked.register(right, select.POLLIN)
            assert beside(asked.poll, lambda: left.send(b"x")) == [(right.fileno(), select.POLLIN)]
        """,
    "select.epoll": """
        import select, socket
        left, right = socket.socketpair()
        with left, right, select.epoll() as asked:
            asked.register(right, select.EPOLLIN)
            assert beside(asked.poll, lambda: left.send(b"x")) == [(right.fileno(), select.EPOLLIN)]
        """,
    "selectors": """
        import selectors, socket
        kinds = (selectors.DefaultSelector, selectors.EpollSelector, selectors.PollSelector,
                 selectors.SelectSelector)
        for kind in kinds:
            left, right = socket.socketpair()
            with left, right, kind() as selector:
                key = selector.register(right, selectors.EVENT_READ, "data")
                assert selector.select(0) == []
                found = beside(selector.select, lambda: left.send(b"x"))
                assert found == [(key, selectors.EVENT_READ)], kind
        """,
    "socket": """
        import socket
        listener = socket.create_server(("127.0.0.1", 0))
        clients = []
        connect = lambda: clients.append(socket.create_connection(listener.getsockname()))
        served, _ = beside(listener.accept, connect)
        [client] = clients
        assert beside(lambda: served.recv(10), lambda: client.sendall(b"x")) == b"x"
        lines = served.makefile("rb")
        assert beside(lines.readline, lambda: client.sendall(b"line\\n")) == b"line\\n"
        for sock in (lines, served, client, listener):
            sock.close()
        """,
    "os.read": """
        import os
        reader, writer = os.pipe()
        assert os.get_blocking(reader)
        assert beside(lambda: os.read(reader, 10), lambda: os.write(writer, b"x")) == b"x"
        """,
    "os.write": """
        import os
        reader, writer = os.pipe()
        data = os.urandom(1 << 20)
        got = []
        def drain():
            while sum(map(len, got)) < len(data):
                got.append(os.read(reader, 1 << 16))
        written = []
        writing = spawn(lambda: written.append(os.write(writer, data)))
        beside(writing.join, drain)
        assert written == [len(data)]
        assert b"".join(got) == data
        """,
    "os.waitpid": """
        import os, subprocess
        with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as child:
            pid, status = beside(lambda: os.waitpid(child.pid, 0), child.stdin.close)
            assert (pid, status) == (child.pid, 0)
            child.returncode = 0
        """,
    "Popen.wait": """
        import subprocess
        for timeout in (None, 3600):
            with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as child:
                assert beside(lambda: child.wait(timeout), child.stdin.close) == 0
        """,
    "Popen.communicate": """
        import os, subprocess
        reader, writer = os.pipe()
        child = subprocess.Popen(["cat"], stdin=reader, stdout=subprocess.PIPE, text=True)
        os.close(reader)
        def cause():
            os.write(writer, b"to the child")
            os.close(writer)
        assert beside(child.communicate, cause) == ("to the child", None)
        """,
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_others_run_meanwhile(name: str, run_patched: Callable[..., str]) -> None:
    lines = PROGRAMS[name].splitlines()
    run_patched("\n".join(line[8:] for line in lines))
