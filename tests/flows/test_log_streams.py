"""Syslog, RELP and GELF from the clients that people have, into a real log server."""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
import ssl
import subprocess
import time
from typing import TYPE_CHECKING

import pytest
import trustme
from flows.logserver import LogServer, run_python
from flows.stack import PATIENCE_S, eventually

if TYPE_CHECKING:
    from pathlib import Path

NEEDS = "is not installed (make test-deps)"
needs_logger = pytest.mark.skipif(shutil.which("logger") is None, reason=f"logger {NEEDS}")
RSYSLOGD = shutil.which("rsyslogd") or shutil.which("rsyslogd", path="/usr/sbin")
needs_rsyslog = pytest.mark.skipif(RSYSLOGD is None, reason=f"rsyslog {NEEDS}")


def logger(port: int, *options: str, lines: list[str]) -> None:
    subprocess.run(
        ["logger", "--server", "127.0.0.1", "--port", str(port), *options],
        input="\n".join(lines).encode(),
        timeout=PATIENCE_S,
        check=True,
    )


@needs_logger
def test_logger_over_tcp_and_udp_by_both_rfcs(tmp_path: Path) -> None:
    inputs = {"tcp": 'kind = "syslog"', "udp": 'kind = "syslog-udp"'}
    with LogServer(tmp_path, inputs) as server:
        tcp, udp = server.ports["tcp"], server.ports["udp"]
        data = ["--sd-id", "v@1", "--sd-param", 'k="1"']
        logger(
            tcp, "--tcp", "--rfc5424", "-t", "new", "-p", "local0.err", *data, lines=["one", "two"]
        )
        logger(tcp, "--tcp", "--rfc5424", "--octet-count", "-t", "counted", lines=["three", "four"])
        logger(tcp, "--tcp", "--rfc3164", "-t", "old", "-p", "mail.debug", "-i", lines=["five"])
        logger(udp, "--udp", "--rfc5424", "-t", "datagram", lines=["six"])
        logger(udp, "--udp", "--rfc3164", "-t", "olddatagram", lines=["seven"])
        rows = server.wait_for(7)
        # Orderly stopped, nothing that was received is missing.
        assert server.stop() == 0
    found = {row.msg: row for row in rows}
    assert sorted(found) == sorted(["one", "two", "three", "four", "five", "six", "seven"])
    assert [found[m].app for m in ("one", "three", "five", "six", "seven")] == [
        "new", "counted", "old", "datagram", "olddatagram",
    ]  # fmt: skip
    assert (found["two"].level, found["five"].level) == ("ERROR", "DEBUG")
    assert json.loads(found["one"].fields)["v@1.k"] == "1"
    assert json.loads(found["one"].fields)["facility"] == "local0"
    assert all(row.host == socket.gethostname() for row in rows)
    assert all(abs(row.t - time.time_ns()) < 600 * 10**9 for row in rows)


def test_syslog_over_tls_takes_those_who_show_a_certificate(tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(
        tmp_path / "server.pem"
    )
    authority.issue_cert("client").private_key_and_cert_chain_pem.write_to_path(
        tmp_path / "client.pem"
    )
    lines = (
        f'kind = "syslog"\ncertificate = "{tmp_path}/server.pem"\nclient_ca = "{tmp_path}/ca.pem"'
    )
    with LogServer(tmp_path, {"tls": lines}) as server:
        address = ("127.0.0.1", server.ports["tls"])
        stranger = ssl.create_default_context(cafile=tmp_path / "ca.pem")
        # It may learn of the refusal, or have left by then.
        with contextlib.suppress(OSError):
            talk(stranger, address, b"<13>1 - h stranger - - - refused\n")
        known = ssl.create_default_context(cafile=tmp_path / "ca.pem")
        known.load_cert_chain(tmp_path / "client.pem")
        message = b"<13>1 - h known - - - taken"
        talk(known, address, b"%d %s" % (len(message), message))
        rows = server.wait_for(1)
    assert [(row.app, row.msg) for row in rows] == [("known", "taken")]


def talk(context: ssl.SSLContext, address: tuple[str, int], data: bytes) -> None:
    connection = socket.create_connection(address, PATIENCE_S)
    with context.wrap_socket(connection, server_hostname="127.0.0.1") as stream:
        stream.sendall(data)
        stream.unwrap().close()


class Rsyslog:
    """rsyslogd in the foreground, fed by a unix datagram socket, sending by `action`."""

    def __init__(self, directory: Path, modules: str, action: str) -> None:
        self.socket = directory / "rsyslog.sock"
        work = directory / "rsyslog"
        work.mkdir()
        config = directory / "rsyslog.conf"
        config.write_text(f"""
global(workDirectory="{work}")
module(load="imuxsock" SysSock.Use="off")
{modules}
input(type="imuxsock" Socket="{self.socket}" RateLimit.Interval="0" UseSpecialParser="off")
{action}
""")
        assert RSYSLOGD is not None
        self._process = subprocess.Popen(
            [RSYSLOGD, "-n", "-f", str(config), "-i", str(directory / "rsyslog.pid")],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        eventually(self.socket.exists)

    def send(self, count: int, first: int = 0) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.connect(str(self.socket))
            for number in range(first, first + count):
                # Parks in the kernel while rsyslog is behind: nothing is lost on this side.
                sender.send(b"<134>Nov 23 10:00:00 relp: line %d" % number)

    def stop(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(PATIENCE_S)
        finally:
            if self._process.poll() is None:
                self._process.kill()
                self._process.wait()


@needs_rsyslog
def test_relp_loses_nothing_when_the_server_is_killed_in_mid_stream(tmp_path: Path) -> None:
    lines = 10_000
    with LogServer(tmp_path, {"relp": 'kind = "relp"'}) as server:
        rsyslog = Rsyslog(
            tmp_path,
            'module(load="omrelp")',
            f'action(type="omrelp" target="127.0.0.1" port="{server.ports["relp"]}" '
            'action.resumeRetryCount="-1" action.resumeInterval="1" '
            f'queue.type="LinkedList" queue.size="{2 * lines}")',
        )
        try:
            rsyslog.send(lines // 2)
            server.wait_for(100)
            server.kill()
            rsyslog.send(lines // 2, lines // 2)
            server.start()
            # Sent again are only those whose answer was lost: what is on disk is not asked for.
            wanted = {f"line {number}" for number in range(lines)}
            eventually(lambda: wanted <= {row.msg for row in server.rows("app=relp")})
        finally:
            rsyslog.stop()
        rows = server.rows("app=relp")
    assert {row.msg for row in rows} == wanted
    assert {row.level for row in rows} == {"INFO"}


@needs_rsyslog
def test_rsyslogs_omczmq_into_pull(tmp_path: Path) -> None:
    with LogServer(tmp_path, {}) as server:
        rsyslog = Rsyslog(
            tmp_path,
            'module(load="omczmq")',
            'template(name="doc" type="list" option.jsonf="on") {\n'
            'property(outname="ts" name="timereported" dateFormat="rfc3339" format="jsonf")\n'
            'property(outname="app" name="programname" format="jsonf")\n'
            'property(outname="msg" name="msg" format="jsonf") }\n'
            f'action(type="omczmq" socktype="PUSH" endpoints="{server.pull}" template="doc"'
            ' action.resumeRetryCount="-1")',
        )
        try:
            rsyslog.send(200)
            rows = server.wait_for(200)
        finally:
            rsyslog.stop()
    assert {row.msg.strip() for row in rows} == {f"line {number}" for number in range(200)}
    assert {row.app for row in rows} == {"relp"}


GELF_CLIENT = """
import logging, sys
from pygelf import GelfTcpHandler, GelfUdpHandler
tcp, udp = int(sys.argv[1]), int(sys.argv[2])
log = logging.getLogger("shop")
log.setLevel(logging.DEBUG)
def send(handler, *messages):
    log.handlers[:] = [handler]
    for message in messages:
        log.warning(message)
    handler.close()
extra = dict(include_extra_fields=True, debug=True, _app="shop")
send(GelfTcpHandler(host="127.0.0.1", port=tcp, **extra), "by tcp", "again")
send(GelfUdpHandler(host="127.0.0.1", port=udp, compress=True, **extra), "packed")
send(GelfUdpHandler(host="127.0.0.1", port=udp, compress=False, chunk_size=100, **extra),
     "in chunks " + "x" * 1000)
"""


def test_pygelf_over_tcp_and_udp_packed_and_in_chunks(tmp_path: Path) -> None:
    pytest.importorskip("pygelf", reason=f"pygelf {NEEDS}")
    inputs = {"tcp": 'kind = "gelf"', "udp": 'kind = "gelf-udp"'}
    with LogServer(tmp_path, inputs) as server:
        done = run_python(GELF_CLIENT, str(server.ports["tcp"]), str(server.ports["udp"]))
        assert done.returncode == 0, done.stderr.decode()
        rows = server.wait_for(4)
    assert sorted(row.msg for row in rows) == sorted(
        ["by tcp", "again", "packed", "in chunks " + "x" * 1000]
    )
    assert {(row.app, row.level) for row in rows} == {("shop", "WARNING")}
