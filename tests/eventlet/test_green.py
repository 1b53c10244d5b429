"""The green package: what each module is called, and that its waits let others run."""

from __future__ import annotations

import sys
import urllib.error
from typing import TYPE_CHECKING, Any

import pytest

from verdant import eventlet

if TYPE_CHECKING:
    from collections.abc import Callable

from verdant.eventlet.green import (
    BaseHTTPServer,
    Queue,
    SocketServer,
    ftplib,
    httplib,
    os,
    select,
    selectors,
    socket,
    ssl,
    subprocess,
    thread,
    threading,
    time,
)
from verdant.eventlet.green.http import client, cookiejar, server
from verdant.eventlet.green.urllib import error, parse, request, response


def beside(call: Callable[[], Any]) -> Any:
    """Run call() in a green thread, and see that others run while it waits."""
    turns: list[int] = []

    def others() -> None:
        for turn in range(5):
            turns.append(turn)
            eventlet.sleep(0)

    waiter = eventlet.spawn(call)
    counter = eventlet.spawn(others)
    result = waiter.wait()
    assert turns
    counter.wait()
    return result


def test_the_names_lead_to_the_stdlibs_interfaces() -> None:
    assert socket.socket(socket.AF_INET, socket.SOCK_STREAM).close() is None
    assert issubclass(httplib.HTTPConnection, client.HTTPConnection)
    assert SocketServer.TCPServer is not None
    assert BaseHTTPServer.HTTPServer is not None
    assert server.HTTPServer is not None
    assert cookiejar.CookieJar is not None
    assert ftplib.FTP is not None
    assert parse.quote("a b") == "a%20b"
    assert response.addinfourl is not None
    assert ssl.SSLError is not None
    assert thread.start_new_thread is not None
    assert select.select is not None
    assert os.path is not None
    assert selectors.EVENT_READ == 1


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="they are gone from Python")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_names_that_are_gone() -> None:
    from verdant.eventlet.green import asynchat, asyncore

    assert asynchat.async_chat is not None
    assert asyncore.dispatcher is not None


def test_sleeping() -> None:
    beside(lambda: time.sleep(0.01))


def test_pipes() -> None:
    read_end, write_end = os.pipe()
    eventlet.spawn_after(0.01, os.write, write_end, b"x")
    assert beside(lambda: os.read(read_end, 10)) == b"x"
    os.close(read_end)
    os.close(write_end)


def test_selecting() -> None:
    left, right = socket.socketpair()
    eventlet.spawn_after(0.01, right.send, b"x")
    assert beside(lambda: select.select([left], [], [], 10)) == ([left], [], [])
    left.close()
    right.close()


def test_threads_are_green() -> None:
    here, there = threading.Event(), threading.Event()
    met: list[str] = []

    def work(name: str, mine: Any, others: Any) -> None:
        mine.set()
        others.wait()
        met.append(name)

    threads = [
        threading.Thread(target=work, args=("a", here, there)),
        threading.Thread(target=work, args=("b", there, here)),
    ]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert sorted(met) == ["a", "b"]
    local = threading.local()
    local.value = 1
    assert not eventlet.spawn(hasattr, local, "value").wait()
    lock = threading.Lock()
    with lock:
        blocked = eventlet.spawn(lock.acquire)
        eventlet.sleep(0)
        assert not blocked.dead
    assert blocked.wait() is True


def test_queues() -> None:
    q = Queue.Queue()
    eventlet.spawn_after(0.01, q.put, "item")
    assert beside(q.get) == "item"
    # Zero is no bound here, as in the stdlib.
    for number in range(3):
        q.put(number)
    assert q.qsize() == 3
    full = Queue.Queue(1)
    full.put(1)
    with pytest.raises(Queue.Full):
        full.put_nowait(2)
    with pytest.raises(Queue.Empty):
        Queue.PriorityQueue().get_nowait()
    assert Queue.LifoQueue().empty()


def test_children() -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", "print(input())"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert beside(lambda: child.communicate("line\n")) == ("line\n", None)
    assert child.returncode == 0
    done = beside(lambda: subprocess.check_output([sys.executable, "-c", "print(1)"]))
    assert done == b"1\n"


@pytest.mark.differs("in Eventlet it raises an error of a class that cannot be imported")
def test_children_that_take_too_long() -> None:
    with pytest.raises(subprocess.TimeoutExpired):
        subprocess.run([sys.executable, "-c", "import time; time.sleep(9)"], timeout=0.2)


def answer(sock: Any, address: Any) -> None:
    path = sock.makefile("rb").readline().split()[1]
    status, body = (b"404 No", b"") if path == b"/missing" else (b"200 OK", path * 3)
    sock.sendall(b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n%s" % (status, len(body), body))


@pytest.fixture
def url() -> Any:
    listener = eventlet.listen(("127.0.0.1", 0))
    serving = eventlet.spawn(eventlet.serve, listener, answer)
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    serving.kill()
    listener.close()


def test_urls(url: str) -> None:
    assert beside(lambda: request.urlopen(url + "/a").read()) == b"/a/a/a"
    with pytest.raises(error.HTTPError) as raised:
        request.urlopen(url + "/missing")
    raised.value.close()


@pytest.mark.differs("in Eventlet it cannot be imported any more")
def test_cookies() -> None:
    from verdant.eventlet.green.http import cookies

    assert cookies.SimpleCookie("a=b")["a"].value == "b"


@pytest.mark.differs("in Eventlet it cannot be imported any more")
def test_urllib2(url: str) -> None:
    from verdant.eventlet.green import urllib2

    with urllib2.urlopen(url + "/2") as answer:
        assert answer.read() == b"/2/2/2"


def test_errors_of_urls_are_those_that_everybody_knows() -> None:
    assert error.HTTPError is urllib.error.HTTPError


def test_http_client(url: str) -> None:
    connection = httplib.HTTPConnection(url.removeprefix("http://"))
    connection.request("GET", "/b")
    answer = beside(connection.getresponse)
    assert (answer.status, answer.read()) == (200, b"/b/b/b")
    connection.close()


def test_many_fetches_at_once(url: str) -> None:
    pool = eventlet.GreenPool(20)
    bodies = pool.imap(lambda n: request.urlopen(f"{url}/{n}").read(), range(40))
    assert list(bodies) == [f"/{n}".encode() * 3 for n in range(40)]


@pytest.mark.differs("in Eventlet it blocks everybody", hangs=True)
def test_http_server() -> None:
    class Handler(server.SimpleHTTPRequestHandler):  # type: ignore[misc]
        def log_message(self, *args: Any) -> None:
            pass

    for module in (server, BaseHTTPServer):
        httpd = module.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        running = eventlet.spawn(httpd.serve_forever)
        connection = httplib.HTTPConnection("127.0.0.1", httpd.server_port)
        connection.request("GET", "/no-such-file")
        assert beside(connection.getresponse).status == 404
        connection.close()
        httpd.shutdown()
        running.wait()
        httpd.server_close()
