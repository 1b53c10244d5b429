"""Real peers: rsyslog's omczmq, which speaks ZeroMQ by CZMQ."""

from __future__ import annotations

import shutil
import socket
import subprocess
from pathlib import Path

import pytest

from verdant import Timeout, run_in_worker, sleep
from verdant.zmq import PULL, Context

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

needs_omczmq = pytest.mark.skipif(
    shutil.which("rsyslogd", path="/usr/sbin:/usr/bin:/sbin") is None
    or not any((folder / "omczmq.so").exists() for folder in MODULES),
    reason="rsyslog with its omczmq module is not installed (Debian: rsyslog rsyslog-czmq)",
)


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    # A path short enough for a UNIX socket.
    return tmp_path_factory.mktemp("rsyslog")


@needs_omczmq
def test_rsyslog_pushes_each_line_once(folder: Path, context: Context) -> None:
    pull = context.socket(PULL)
    port = pull.bind_to_random_port("tcp://127.0.0.1")
    config = folder / "rsyslog.conf"
    config.write_text(CONFIG.format(folder=folder, port=port))
    program = shutil.which("rsyslogd", path="/usr/sbin:/usr/bin:/sbin") or "rsyslogd"
    process = subprocess.Popen([program, "-n", "-f", str(config), "-i", str(folder / "pid")])
    try:
        with Timeout(50), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as log:
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
    finally:
        process.kill()
        process.wait()
