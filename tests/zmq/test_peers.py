"""Real peers: rsyslog's omczmq and imczmq, which speak ZeroMQ by CZMQ."""

from __future__ import annotations

import shutil
import socket
import subprocess
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from verdant import Timeout, run_in_worker, sleep
from verdant.zmq import PULL, PUSH, Context

if TYPE_CHECKING:
    from collections.abc import Iterator

LINES = 500
# Debian's and Fedora's folder of rsyslog's modules.
MODULES = (*Path("/usr/lib").glob("*-linux-gnu/rsyslog"), Path("/usr/lib64/rsyslog"))

CONFIG = """
global(workDirectory="{folder}")
module(load="imuxsock" SysSock.Use="off")
input(type="imuxsock" Socket="{folder}/log" CreatePath="on" UseSpecialParser="off"
      ParseHostname="off" RateLimit.Interval="0")
module(load="omczmq")
template(name="line" type="string" string="%msg%\\n")
action(type="omczmq" endpoints=">tcp://127.0.0.1:{port}" socktype="PUSH" template="line"
       sendtimeout="-1" action.resumeretrycount="-1")
"""

INPUT = """
global(workDirectory="{folder}")
module(load="imczmq")
input(type="imczmq" endpoints=">tcp://127.0.0.1:{port}" socktype="PULL")
template(name="line" type="string" string="%msg%\\n")
action(type="omfile" file="{folder}/lines" template="line")
"""

RSYSLOGD = shutil.which("rsyslogd", path="/usr/sbin:/usr/bin:/sbin") or ""
needs_czmq = pytest.mark.skipif(
    not RSYSLOGD or not any((folder / "omczmq.so").exists() for folder in MODULES),
    reason="rsyslog with its czmq modules is not installed (Debian: rsyslog rsyslog-czmq)",
)


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    # A path short enough for a UNIX socket.
    return tmp_path_factory.mktemp("rsyslog")


@contextmanager
def rsyslog(folder: Path, config: str) -> Iterator[subprocess.Popen[bytes]]:
    path = folder / "rsyslog.conf"
    path.write_text(config)
    process = subprocess.Popen([RSYSLOGD, "-n", "-f", str(path), "-i", str(folder / "pid")])
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@needs_czmq
def test_rsyslog_pushes_each_line_once(folder: Path, context: Context) -> None:
    pull = context.socket(PULL)
    port = pull.bind_to_random_port("tcp://127.0.0.1")
    with rsyslog(folder, CONFIG.format(folder=folder, port=port)) as process, Timeout(50):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as log:
            while True:
                try:
                    log.connect(str(folder / "log"))
                except (FileNotFoundError, ConnectionRefusedError):
                    assert process.poll() is None
                    sleep(0.01)
                else:
                    break
            for number in range(LINES):
                run_in_worker(log.send, b"<13>test: line %d" % number)
        lines = [pull.recv() for _ in range(LINES)]
    assert [line.strip() for line in lines] == [b"line %d" % n for n in range(LINES)]


@needs_czmq
def test_rsyslog_pulls_each_line_once(folder: Path, context: Context) -> None:
    push = context.socket(PUSH)
    port = push.bind_to_random_port("tcp://127.0.0.1")
    kept = folder / "lines"
    with rsyslog(folder, INPUT.format(folder=folder, port=port)), Timeout(50):
        for number in range(LINES):
            push.send(b"<13>Jan  1 00:00:00 here test: line %d" % number)
        while not kept.exists() or kept.read_bytes().count(b"\n") < LINES:
            sleep(0.02)
    assert [line.strip() for line in kept.read_bytes().splitlines()] == [
        b"line %d" % n for n in range(LINES)
    ]
