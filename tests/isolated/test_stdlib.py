"""Programs of the stdlib that know nothing of green threads, under the patch."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def test_fifty_requests_at_once_over_the_stdlibs_server(run_patched: Callable[..., str]) -> None:
    run_patched("""
import http.server, threading, urllib.request
everybody = threading.Barrier(50)

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        # Answered only once all fifty have been accepted.
        everybody.wait()
        body = self.path.encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *args):
        pass

class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 64

server = Server(("127.0.0.1", 0), Handler)
serving = threading.Thread(target=server.serve_forever)
serving.start()

def fetch(number):
    url = f"http://127.0.0.1:{server.server_port}/{number}"
    with urllib.request.urlopen(url) as answer:
        return answer.read()

clients = [spawn(fetch, number) for number in range(50)]
assert [client.wait() for client in clients] == [b"/%d" % number for number in range(50)]
server.shutdown()
serving.join()
server.server_close()
""")


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    if shutil.which("openssl") is None:
        pytest.skip("no openssl command to make a certificate with")
    key, cert = tmp_path / "key.pem", tmp_path / "cert.pem"
    command = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost"
    subprocess.run(
        [*command.split(), "-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", cert],
        check=True,
        capture_output=True,
    )
    return cert, key


def test_tls_echo_both_ways(
    run_patched: Callable[..., str], certificate: tuple[Path, Path]
) -> None:
    run_patched(
        """
import socket, ssl, sys, threading
cert, key = sys.argv[1:]
here = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
here.load_cert_chain(cert, key)
there = ssl.create_default_context(cafile=cert)
listener = socket.create_server(("127.0.0.1", 0))

def serve():
    plain, _ = listener.accept()
    with here.wrap_socket(plain, server_side=True) as tls:
        assert isinstance(tls, ssl.SSLSocket)
        while data := tls.recv(16384):
            tls.sendall(data)
        tls.unwrap().close()

serving = threading.Thread(target=serve)
serving.start()
plain = socket.create_connection(listener.getsockname())
data = b"0123456789abcdef" * (1 << 17)
with there.wrap_socket(plain, server_hostname="localhost") as tls:
    assert tls.getpeercert()["subject"] == ((("commonName", "localhost"),),)
    sending = spawn(tls.sendall, data)
    got = bytearray()
    while len(got) < len(data):
        got += tls.recv(1 << 16)
    sending.wait()
    assert got == data
    tls.settimeout(0.01)
    try:
        tls.recv(1)
    except TimeoutError:
        pass
    else:
        raise AssertionError("nothing was sent")
    tls.settimeout(None)
    beside(lambda: tls.recv(1), lambda: tls.sendall(b"x"))
    tls.unwrap().close()
serving.join()
listener.close()
""",
        *map(str, certificate),
    )


def test_https_through_urllib(
    run_patched: Callable[..., str], certificate: tuple[Path, Path]
) -> None:
    run_patched(
        """
import http.server, ssl, sys, threading, urllib.request
cert, key = sys.argv[1:]
here = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
here.load_cert_chain(cert, key)

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"secret")
    def log_message(self, *args):
        pass

server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
server.socket = here.wrap_socket(server.socket, server_side=True)
threading.Thread(target=server.serve_forever).start()
there = ssl.create_default_context(cafile=cert)

def fetch():
    url = f"https://localhost:{server.server_port}/"
    with urllib.request.urlopen(url, context=there) as answer:
        return answer.read()

assert [c.wait() for c in [spawn(fetch) for _ in range(5)]] == [b"secret"] * 5
server.shutdown()
server.server_close()
""",
        *map(str, certificate),
    )


def test_subprocess_run(run_patched: Callable[..., str]) -> None:
    run_patched("""
import subprocess, sys
data = bytes(range(256)) * 4096
done = subprocess.run(["cat"], input=data, capture_output=True, timeout=60)
assert (done.returncode, done.stdout, done.stderr) == (0, data, b"")
assert subprocess.check_output(["echo", "text"], text=True) == "text\\n"
try:
    subprocess.run(["sleep", "3600"], timeout=0.01)
except subprocess.TimeoutExpired as exc:
    assert exc.timeout <= 0.01
else:
    raise AssertionError("it slept")
try:
    with subprocess.Popen(["sleep", "3600"]) as child:
        try:
            with Timeout(0.01):
                child.wait()
        finally:
            child.kill()
except Timeout:
    assert child.returncode == -9
else:
    raise AssertionError("it slept")
try:
    subprocess.run(["/no/such/program"])
except FileNotFoundError:
    pass
""")


def test_logging_from_green_and_native_threads(run_patched: Callable[..., str]) -> None:
    out = run_patched("""
import io, logging, threading
from verdant import run_in_worker
from verdant.core.originals import start_new_thread

class Slow(io.StringIO):
    # Parks while the handler holds its lock, as a socket or a pipe would.
    def write(self, text):
        if threading.current_thread().name.startswith("green"):
            sleep(0)
        return super().write(text)

stream = Slow()
handler = logging.StreamHandler(stream)
handler.setFormatter(logging.Formatter("%(threadName)s %(message)s"))
log = logging.getLogger("test")
log.addHandler(handler)
log.setLevel(logging.INFO)
log.propagate = False

def talk():
    for number in range(100):
        log.info("%d", number)

ended = threading.Semaphore(0)
for _ in range(4):
    start_new_thread(lambda: (talk(), ended.release()), ())
threads = [threading.Thread(target=talk, name=f"green-{n}") for n in range(20)]
for thread in threads:
    thread.start()
spawned = [spawn(talk, name=f"green-spawned-{n}") for n in range(5)]
run_in_worker(talk)
for thread in threads:
    thread.join()
for thread in spawned:
    thread.wait()
for _ in range(4):
    ended.acquire()
lines = stream.getvalue().splitlines()
assert len(lines) == 30 * 100, len(lines)
for name in [f"green-{n}" for n in range(20)] + [f"green-spawned-{n}" for n in range(5)]:
    assert [l.split()[1] for l in lines if l.split()[0] == name] == [str(n) for n in range(100)]
print("ok")
""")
    assert out == "ok\n"


def test_thread_identity_and_locals(run_patched: Callable[..., str]) -> None:
    run_patched("""
import gc, threading
assert threading.current_thread() is threading.main_thread()
storage = threading.local()
storage.value = "main"
seen = {}
def body(name):
    assert not hasattr(storage, "value")
    storage.value = name
    sleep(0)
    assert storage.value == name
    seen[name] = threading.get_ident(), threading.current_thread()
threads = [threading.Thread(target=body, args=(n,)) for n in range(3)]
for thread in threads: thread.start()
for thread in threads: thread.join()
green = [spawn(body, n, name=f"spawned-{n}") for n in range(3, 6)]
for thread in green: thread.wait()
assert [seen[n][1] for n in range(3)] == threads
assert [seen[n][1].name for n in range(3, 6)] == ["spawned-3", "spawned-4", "spawned-5"]
assert storage.value == "main"
del thread, green
gc.collect()
assert threading.enumerate() == [threading.main_thread()]
""")


def test_the_end_waits_for_threads_that_are_no_daemons(run_patched: Callable[..., str]) -> None:
    out = run_patched("""
import threading, time
def last():
    time.sleep(0.05)
    print("last words", flush=True)
threading.Thread(target=last).start()
threading.Thread(target=time.sleep, args=(3600,), daemon=True).start()
""")
    assert out == "last words\n"


def test_a_worker_starts_native_threads(run_patched: Callable[..., str]) -> None:
    run_patched("""
import threading
from verdant import run_in_worker
def work():
    idents = []
    thread = threading.Thread(target=lambda: idents.append(threading.get_ident()))
    thread.start()
    thread.join()
    return idents[0] != threading.get_ident()
assert run_in_worker(work)
""")


def test_imports_wait_for_each_other(run_patched: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "slow_module.py").write_text("import time\ntime.sleep(0.02)\nready = True\n")
    run_patched(
        """
import sys
sys.path.insert(0, sys.argv[1])
def importer():
    import slow_module
    return slow_module.ready
assert all(thread.wait() for thread in [spawn(importer) for _ in range(5)])
""",
        str(tmp_path),
    )
