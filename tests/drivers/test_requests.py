"""requests, urllib3 and httpx under the patch, against the stdlib's http.server in one process."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytest.importorskip("requests", reason="the driver requests is not installed")

SERVER = """
import http.server, sys, threading

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        answer(self)
        body = self.path.encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *args):
        pass

class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 64
    daemon_threads = True
    def handle_error(self, request, address):
        faults.append(type(sys.exc_info()[1]))

faults = []

server = Server(("127.0.0.1", 0), Handler)
"""

SERVE = """
threading.Thread(target=server.serve_forever, daemon=True).start()
url = f"{scheme}://localhost:{server.server_port}/"
"""

STOP = """
server.shutdown()
server.server_close()
"""


def test_fifty_requests_wait_for_each_other(run_patched: Callable[..., str]) -> None:
    run_patched(
        SERVER
        + """
import requests
everybody = threading.Barrier(50)
# Answered only once all fifty have arrived.
answer = lambda handler: everybody.wait()
scheme = "http"
"""
        + SERVE
        + """
clients = [spawn(lambda n: requests.get(f"{url}{n}").text, n) for n in range(50)]
assert [c.wait() for c in clients] == [f"/{n}" for n in range(50)]
assert faults == []
"""
        + STOP
    )


def test_one_session_and_its_bounded_pool(run_patched: Callable[..., str]) -> None:
    run_patched(
        SERVER
        + """
import urllib3
inside, peak, hold = [], [], threading.Event()
def answer(handler):
    inside.append(handler)
    peak.append(len(inside))
    if len(inside) == 4:
        # The pool's last connection: nobody else can come before one of us is answered.
        hold.set()
    hold.wait()
    inside.remove(handler)
scheme = "http"
"""
        + SERVE
        + """
with urllib3.PoolManager(maxsize=4, block=True) as pool:
    fetch = lambda n: pool.request("GET", f"{url}{n}").data
    clients = [spawn(fetch, n) for n in range(20)]
    assert [c.wait() for c in clients] == [b"/%d" % n for n in range(20)]
    [connections] = [pool.pools[key] for key in pool.pools.keys()]
    assert connections.num_connections == 4, connections.num_connections
assert max(peak) == 4, peak
assert faults == []
"""
        + STOP
    )


def test_timeouts_of_both_kinds(run_patched: Callable[..., str]) -> None:
    run_patched(
        SERVER
        + """
import requests
for_ever = threading.Event()
answer = lambda handler: for_ever.wait()
scheme = "http"
"""
        + SERVE
        + """
from requests.adapters import HTTPAdapter
with requests.Session() as session:
    # A driver that tries again must not try again past the caller's bound.
    session.mount("http://", HTTPAdapter(max_retries=5))
    try:
        with Timeout(0.05):
            session.get(url)
    except Timeout:
        pass
    else:
        raise AssertionError("nothing was answered")
try:
    requests.get(url, timeout=0.05)
except requests.Timeout:
    pass
else:
    raise AssertionError("nothing was answered")
for_ever.set()
"""
        + STOP
    )


def test_httpx(run_patched: Callable[..., str]) -> None:
    pytest.importorskip("httpx", reason="the driver httpx is not installed")
    run_patched(
        SERVER
        + """
import httpx
everybody = threading.Barrier(20)
answer = lambda handler: everybody.wait()
scheme = "http"
"""
        + SERVE
        + """
# It asks select.poll whether a connection that it kept is still good.
with httpx.Client(limits=httpx.Limits(max_connections=20), timeout=60) as client:
    fetch = lambda n: client.get(f"{url}{n}").text
    for _ in range(2):
        clients = [spawn(fetch, n) for n in range(20)]
        assert [c.wait() for c in clients] == [f"/{n}" for n in range(20)]
assert faults == []
"""
        + STOP
    )


def test_https(run_patched: Callable[..., str], tmp_path: Path) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("no openssl command to make a certificate with")
    key, cert = tmp_path / "key.pem", tmp_path / "cert.pem"
    command = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost"
    subprocess.run(
        [*command.split(), "-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", cert],
        check=True,
        capture_output=True,
    )
    run_patched(
        SERVER
        + """
import ssl
# Imported later than the patch, as its whole context is: TLS needs no class replaced.
import requests
everybody = threading.Barrier(10)
answer = lambda handler: everybody.wait()
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[1], sys.argv[2])
# The handshake belongs to the connection's own thread, not to the one that accepts.
server.socket = context.wrap_socket(
    server.socket, server_side=True, do_handshake_on_connect=False
)
scheme = "https"
"""
        + SERVE
        + """
fetch = lambda n: requests.get(f"{url}{n}", verify=sys.argv[1]).text
clients = [spawn(fetch, n) for n in range(10)]
assert [c.wait() for c in clients] == [f"/{n}" for n in range(10)]
assert faults == []
try:
    requests.get(url)
except requests.exceptions.SSLError as exc:
    assert "CERTIFICATE_VERIFY_FAILED" in str(exc)
else:
    raise AssertionError("nobody signed this certificate")
"""
        + STOP,
        str(cert),
        str(key),
    )
