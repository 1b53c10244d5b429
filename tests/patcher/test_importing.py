"""Private green copies; nothing here may change a module of the process's own."""

from __future__ import annotations

import http.client
import queue
import smtplib
import socket
import ssl
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any

import pytest

from verdant.core import current_hub, sleep, spawn
from verdant.green.socket import socket as green_socket
from verdant.patcher import green_view, import_green, import_with, native_module

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

OWN = [http.client, queue, smtplib, socket, ssl, subprocess, threading, time, urllib.request]


@pytest.fixture(autouse=True)
def _nothing_else_changes() -> Iterator[None]:
    before = [dict(vars(module)) for module in OWN]
    modules = dict(sys.modules)
    yield
    assert [dict(vars(module)) for module in OWN] == before
    assert {name: sys.modules[name] for name in modules} == modules


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    monkeypatch.syspath_prepend(tmp_path)

    def write(files: dict[str, str]) -> None:
        for name, text in files.items():
            path = tmp_path / f"{name}.py"
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)

    return write


def beside(call: Callable[[], Any], turns: int = 10) -> Any:
    """Run call() in a green thread and see that others run while it waits."""
    seen: list[int] = []

    def others() -> None:
        for turn in range(turns):
            seen.append(turn)
            sleep(0)

    thread = spawn(call)
    counter = spawn(others)
    result = thread.wait()
    assert seen
    counter.wait()
    return result


def test_a_copy_is_made_once_and_is_nobody_elses() -> None:
    request: Any = import_green("urllib.request")
    assert request is import_green("urllib.request")
    assert request is not urllib.request
    assert request.__name__ == "urllib.request"
    assert request.http.client is import_green("http.client")
    assert request.http.client.socket.socket is green_socket


def test_what_needs_no_socket_is_shared() -> None:
    request: Any = import_green("urllib.request")
    assert request.HTTPError is urllib.error.HTTPError
    assert green_view("urllib.error") is urllib.error
    assert green_view("json").JSONDecodeError is not None
    assert green_view("http.client") is import_green("http.client")


def test_twins_keep_the_stdlibs_objects() -> None:
    twin: Any = import_green("socket")
    assert set(vars(socket)) <= set(vars(twin))
    assert twin.socket is green_socket
    assert twin.AF_INET is socket.AF_INET
    assert twin.timeout is TimeoutError
    assert twin.gaierror is socket.gaierror
    assert twin.has_dualstack_ipv6.__globals__ is vars(twin)
    assert import_green("ssl").SSLError is ssl.SSLError
    assert import_green("ssl").create_connection is twin.create_connection


def test_green_contexts_make_green_sockets() -> None:
    twin: Any = import_green("ssl")
    context = twin.create_default_context()
    assert isinstance(context, ssl.SSLContext)
    assert context.sslsocket_class.__module__ == "verdant.green.ssl"
    assert ssl.create_default_context().sslsocket_class is ssl.SSLSocket


def test_time_and_select_and_subprocess() -> None:
    beside(lambda: import_green("time").sleep(0.01))
    left, right = socket.socketpair()
    with left, right:
        select = import_green("select").select
        spawn(right.send, b"x")
        assert beside(lambda: select([left], [], [], 10)) == ([left], [], [])
        selector = import_green("selectors").DefaultSelector()
        selector.register(left, 1)
        assert len(beside(lambda: selector.select(10))) == 1
        selector.close()
    run = import_green("subprocess").run
    done = beside(lambda: run([sys.executable, "-c", "print(1)"], capture_output=True, check=True))
    assert done.stdout == b"1\n"
    with import_green("os").popen("echo 2") as pipe:
        assert pipe.read() == "2\n"


def test_green_threading_runs_beside_the_native_one() -> None:
    twin: Any = import_green("threading")
    order: list[str] = []
    lock = twin.Lock()
    condition = twin.Condition()

    def worker(name: str) -> None:
        with lock:
            order.append(name)
            sleep(0)
        with condition:
            order.append(twin.current_thread().name)
            condition.notify_all()

    threads = [twin.Thread(target=worker, args=(name,), name=f"T{name}") for name in "ab"]
    with condition:
        for thread in threads:
            thread.start()
        while len(order) < 3:
            condition.wait(10)
    for thread in threads:
        thread.join()
    assert sorted(order) == ["Ta", "Tb", "a", "b"]
    # The hub is this native thread's: its threads are green.
    assert threading.active_count() == len(threading.enumerate())
    assert not {thread.name for thread in threading.enumerate()} & {"Ta", "Tb"}
    assert twin.main_thread().name == "MainThread"
    names: list[str] = []
    spawn(lambda: names.append(twin.current_thread().name), name="mine").wait()
    assert names == ["mine"]
    assert "mine" not in [thread.name for thread in twin.enumerate()]


def test_green_queue() -> None:
    twin: Any = import_green("queue")
    assert twin.Empty is queue.Empty
    for kind in (twin.Queue, twin.SimpleQueue):
        line = kind()
        spawn(line.put, "item")
        assert beside(line.get) == "item"


def test_a_green_client_and_a_green_server() -> None:
    server_module: Any = import_green("http.server")
    request: Any = import_green("urllib.request")

    class Handler(server_module.BaseHTTPRequestHandler):  # type: ignore[misc]
        def do_GET(self) -> None:
            import time as late

            late.sleep(0.01)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(self.path.encode())

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            pass

    # Defined here, so that its own imports are this file's.
    assert Handler.__mro__[1] is not BaseHTTPRequestHandler
    server = server_module.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = spawn(server.serve_forever)
    url = f"http://127.0.0.1:{server.server_port}"
    with request.urlopen(f"{url}/path", timeout=10) as answer:
        assert answer.read() == b"/path"
    server.shutdown()
    thread.wait()
    server.server_close()


def test_a_library_and_what_it_imports(library: Callable[..., None]) -> None:
    library(
        {
            "lib/__init__": "from .net import fetch\nfrom lib import values\n"
            "from . import helpers\n",
            "lib/net": "import socket\nfrom other import deep\nfrom .helpers import wait\n"
            "def fetch():\n    return socket.socket\n",
            "lib/helpers": "def wait():\n    import time\n    return time.sleep\n",
            "lib/values": "class Thing: pass\n",
            "other/__init__": "",
            "other/deep": "import http.client as client\nfrom plainlib import Plain\n",
            "plainlib": "class Plain: pass\n",
        }
    )
    lib: Any = import_green("lib")
    assert lib.fetch() is green_socket
    assert lib.net.wait().__module__ == "verdant.green.time"
    assert lib.net.deep.client is import_green("http.client")
    import plainlib  # type: ignore[import-not-found]

    assert lib.net.deep.Plain is plainlib.Plain
    assert "lib" not in sys.modules
    assert "other.deep" not in sys.modules
    import lib as own  # type: ignore[import-not-found]

    assert own.fetch() is socket.socket


def test_modules_of_ones_own_choice(library: Callable[..., None]) -> None:
    library({"chooser": "import socket, time\n"})
    fake: Any = type(sys)("fake")
    chooser: Any = import_with("chooser", {"socket": fake})
    assert chooser.socket is fake
    assert chooser.time is time
    assert import_with("chooser", {"socket": fake}) is not chooser


def test_errors_are_those_of_an_import(library: Callable[..., None]) -> None:
    library({"breaks": "import socket\n1 / 0\n", "lacks": "from json import no_such_name\n"})
    with pytest.raises(ModuleNotFoundError, match="no_such_module"):
        import_green("no_such_module")
    with pytest.raises(ModuleNotFoundError):
        import_green("json.no_such_module")
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            import_green("breaks")
    with pytest.raises(ImportError, match="no_such_name"):
        import_green("lacks")
    assert import_green("math") is sys.modules["math"]


def test_circular_imports(library: Callable[..., None]) -> None:
    library(
        {
            "ring/__init__": "from ring import one\n",
            "ring/one": "import socket\nfrom ring import two\ndef f(): return two.g()\n",
            "ring/two": "import ring.one as one\ndef g(): return one.socket.socket\n",
        }
    )
    assert import_green("ring").one.f() is green_socket


def test_a_real_library() -> None:
    requests: Any = pytest.importorskip("requests")
    green: Any = import_green("requests")
    assert green is not requests
    assert green.adapters.PoolManager is not requests.adapters.PoolManager
    server_module: Any = import_green("http.server")
    server = server_module.HTTPServer(
        ("127.0.0.1", 0), server_module.SimpleHTTPRequestHandler, bind_and_activate=True
    )
    server.RequestHandlerClass.log_message = lambda *args: None
    thread = spawn(server.serve_forever)
    url = f"http://127.0.0.1:{server.server_port}/no-such-file"
    assert beside(lambda: green.get(url, timeout=10)).status_code == 404
    server.shutdown()
    thread.wait()
    server.server_close()


def test_native_modules_are_the_processs_own_while_nothing_is_patched() -> None:
    assert native_module("socket") is socket
    assert native_module("threading") is threading
    assert native_module("queue") is queue
    assert current_hub() is not None
