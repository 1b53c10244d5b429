"""Lines over HTTP from the clients that people have, into a real log server."""

from __future__ import annotations

import gzip
import json
import ssl
import subprocess
from http.client import HTTPConnection, HTTPSConnection
from pathlib import Path
from typing import Any

import cramjam
import pytest
import trustme
from flows.logserver import LogServer, run_python
from flows.stack import PATIENCE_S, eventually
from flows.test_log_streams import NEEDS, Rsyslog, needs_rsyslog
from logs.inputs.test_bodies import OTLP_JSON, loki_protobuf

from verdant.logs.inputs.protowire import fields_of

UPLOAD = Path("/lib/systemd/systemd-journal-upload")
REMOTE = Path("/lib/systemd/systemd-journal-remote")
HTTP = {"http": 'kind = "http"'}

TOKEN = "0123456789abcdef0123"
OTHER = "fedcba98765432100123"


def ask(
    port: int, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None
) -> tuple[int, bytes]:
    connection = HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
    try:
        connection.request(method, path, body, headers or {})
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def counts(port: int, headers: dict[str, str] | None = None) -> dict[str, Any]:
    status, body = ask(port, "GET", "/counts", headers=headers)
    assert status == 200
    found: dict[str, Any] = json.loads(body)
    return found


LOKI_CLIENT = """
import logging, sys, logging_loki
url = f"http://127.0.0.1:{sys.argv[1]}/loki/api/v1/push"
handler = logging_loki.LokiHandler(url=url, tags={"application": "shop"}, version="1")
log = logging.getLogger("till")
log.addHandler(handler)
log.error("one")
log.error("two", extra={"tags": {"customer": "7"}})
"""


def test_python_logging_loki(tmp_path: Path) -> None:
    pytest.importorskip("logging_loki", reason=f"python-logging-loki {NEEDS}")
    with LogServer(tmp_path, HTTP) as server:
        done = run_python(LOKI_CLIENT, str(server.ports["http"]))
        assert done.returncode == 0, done.stderr.decode()
        # No waiting: the client has its answer, so the lines are there.
        rows = server.rows()
    assert [(row.app, row.level, row.msg) for row in rows] == [
        ("shop", "ERROR", "one"),
        ("shop", "ERROR", "two"),
    ]
    assert json.loads(rows[1].fields) == {"logger": "till", "customer": "7"}


OTLP_CLIENT = """
import logging, sys
from opentelemetry._logs import SeverityNumber, LogRecord
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.resources import Resource
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter, Compression
for compression in (Compression.NoCompression, Compression.Gzip):
    resource = Resource.create({"service.name": "shop", "host.name": "h1"})
    provider = LoggerProvider(resource=resource)
    exporter = OTLPLogExporter(
        endpoint=f"http://127.0.0.1:{sys.argv[1]}/v1/logs", compression=compression
    )
    provider.add_log_record_processor(BatchLogRecordProcessor(exporter))
    logger = provider.get_logger("till")
    logger.emit(LogRecord(
        timestamp=1764000000000000001, severity_number=SeverityNumber.WARN,
        body=compression.name, attributes={"customer": 7, "tags": ["a", "b"]},
    ))
    assert provider.force_flush()
    provider.shutdown()
"""


def test_opentelemetrys_exporter_plain_and_gzip(tmp_path: Path) -> None:
    name = "opentelemetry.exporter.otlp.proto.http"
    pytest.importorskip(name, reason=f"opentelemetry-exporter-otlp-proto-http {NEEDS}")
    with LogServer(tmp_path, HTTP) as server:
        done = run_python(OTLP_CLIENT, str(server.ports["http"]))
        assert done.returncode == 0, done.stderr.decode()
        rows = server.rows()
    assert sorted(row.msg for row in rows) == ["Gzip", "NoCompression"]
    for row in rows:
        assert (row.t, row.app, row.host, row.level) == (
            1764000000000000001, "shop", "h1", "WARNING",
        )  # fmt: skip
        fields = json.loads(row.fields)
        assert (fields["customer"], fields["tags"], fields["logger"]) == (7, ["a", "b"], "till")


ELASTIC_CLIENT = """
import sys
from elasticsearch import Elasticsearch, helpers
client = Elasticsearch(f"http://127.0.0.1:{sys.argv[1]}")
documents = (
    {"_index": "shop", "@timestamp": "2026-01-02T03:04:05.123456789Z",
     "log": {"level": "warn"}, "message": f"line {number}", "number": number}
    for number in range(2000)
)
assert helpers.bulk(client, documents) == (2000, [])
done, errors = helpers.bulk(
    client, [{"_op_type": "delete", "_index": "shop", "_id": "1"}], raise_on_error=False
)
assert done == 0 and errors[0]["delete"]["status"] == 400, errors
"""


def test_elasticsearchs_bulk_helper(tmp_path: Path) -> None:
    pytest.importorskip("elasticsearch", reason=f"elasticsearch {NEEDS}")
    with LogServer(tmp_path, HTTP) as server:
        done = run_python(ELASTIC_CLIENT, str(server.ports["http"]))
        assert done.returncode == 0, done.stderr.decode()
        rows = server.rows()
        assert counts(server.ports["http"])["malformed"] == 1
    assert sorted(row.msg for row in rows) == sorted(f"line {n}" for n in range(2000))
    assert {(row.app, row.t % 10**9) for row in rows} == {("shop", 123456789)}


@needs_rsyslog
def test_rsyslogs_omelasticsearch(tmp_path: Path) -> None:
    with LogServer(tmp_path, HTTP) as server:
        rsyslog = Rsyslog(
            tmp_path,
            'module(load="omelasticsearch")',
            'template(name="doc" type="list" option.jsonf="on") {\n'
            'property(outname="@timestamp" name="timereported" dateFormat="rfc3339"'
            ' format="jsonf")\n'
            'property(outname="host" name="hostname" format="jsonf")\n'
            'property(outname="app" name="programname" format="jsonf")\n'
            'property(outname="level" name="syslogseverity-text" format="jsonf")\n'
            'property(outname="message" name="msg" format="jsonf") }\n'
            f'action(type="omelasticsearch" server="127.0.0.1" serverport="{server.ports["http"]}"'
            ' template="doc" searchIndex="logs" bulkmode="on" action.resumeRetryCount="-1")',
        )
        try:
            rsyslog.send(500)
            rows = server.wait_for(500)
        finally:
            rsyslog.stop()
    assert {row.msg.strip() for row in rows} == {f"line {n}" for n in range(500)}
    assert {(row.app, row.level) for row in rows} == {("relp", "INFO")}


@pytest.mark.skipif(
    not (UPLOAD.exists() and REMOTE.exists()), reason=f"systemd-journal-remote {NEEDS}"
)
def test_systemd_journal_upload(tmp_path: Path) -> None:
    entries = b"".join(
        b"__REALTIME_TIMESTAMP=%d\n__MONOTONIC_TIMESTAMP=%d\n_BOOT_ID=%032x\n"
        b"PRIORITY=4\nSYSLOG_IDENTIFIER=shop\n_HOSTNAME=h1\nMESSAGE=line %d\n\n"
        % (1764000000000000 + number, number + 1, 1, number)
        for number in range(300)
    )
    entries += (
        b"__REALTIME_TIMESTAMP=1764000001000000\n__MONOTONIC_TIMESTAMP=1000\n_BOOT_ID=%032x\n"
        b"SYSLOG_IDENTIFIER=shop\nMESSAGE\n"
        % 1
        + len(b"two\nlines").to_bytes(8, "little")
        + b"two\nlines\n\n"
    )
    journal = tmp_path / "x.journal"
    subprocess.run(
        [REMOTE, "-o", journal, "-"], input=entries, check=True, capture_output=True, timeout=60
    )
    with LogServer(tmp_path, HTTP) as server:
        url = f"http://127.0.0.1:{server.ports['http']}"
        state = f"--save-state={tmp_path}/state"
        done = subprocess.run(
            [UPLOAD, f"--url={url}", f"--file={journal}", "--follow=no", state],
            capture_output=True,
            timeout=PATIENCE_S,
            check=False,
        )
        assert done.returncode == 0, done.stderr.decode()
        rows = server.rows()
    assert sorted(row.msg for row in rows) == sorted(
        [*(f"line {number}" for number in range(300)), "two\nlines"]
    )
    first = next(row for row in rows if row.msg == "line 0")
    assert (first.app, first.host, first.level) == ("shop", "h1", "WARNING")
    assert first.t == 1764000000000000000
    assert "__CURSOR" in json.loads(first.fields)


def test_lokis_protobuf_and_otlps_json(tmp_path: Path) -> None:
    with LogServer(tmp_path, HTTP) as server:
        port = server.ports["http"]
        packed = bytes(cramjam.snappy.compress_raw(loki_protobuf()))
        kind = {"Content-Type": "application/x-protobuf", "Content-Encoding": "snappy"}
        assert ask(port, "POST", "/loki/api/v1/push", packed, kind) == (204, b"")
        body = json.dumps(OTLP_JSON).encode()
        kind = {"Content-Type": "application/json"}
        assert ask(port, "POST", "/v1/logs", body, kind) == (200, b"{}\n")
        # A message of google.rpc.Status for those who speak protobuf.
        kind = {"Content-Type": "application/x-protobuf"}
        status, answer = ask(port, "POST", "/v1/logs", b"\xff", kind)
        rows = server.rows()
    assert sorted(row.msg for row in rows) == ["0.5", "one", "one", "two"]
    assert status == 400
    assert next(iter(fields_of(answer)))[0] == 2


def test_https_with_a_token(tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(
        tmp_path / "server.pem"
    )
    (tmp_path / "tokens").write_text(f"{TOKEN} write shop\n")
    lines = (
        f'kind = "http"\ncertificate = "{tmp_path}/server.pem"\ntokens_file = "{tmp_path}/tokens"'
    )
    with LogServer(tmp_path, {"http": lines}) as server:
        context = ssl.create_default_context()
        authority.configure_trust(context)
        connection = HTTPSConnection(
            "127.0.0.1", server.ports["http"], timeout=PATIENCE_S, context=context
        )
        try:
            bearer = {"Authorization": f"Bearer {TOKEN}"}
            connection.request("POST", "/jsonlines", b'{"msg":"one"}', bearer)
            assert connection.getresponse().read() == b'{"stored":1}\n'
        finally:
            connection.close()
        (row,) = server.rows()
    assert (row.app, row.msg) == ("shop", "one")


def test_json_lines_answers_are_the_protocols_and_every_refusal_is_counted(
    tmp_path: Path,
) -> None:
    (tmp_path / "tokens").write_text(f"{TOKEN} write shop,till\n{OTHER} write *\n")
    lines = f'kind = "http"\ntokens_file = "{tmp_path}/tokens"\nbody_bytes_max = 10000'
    with LogServer(tmp_path, {"http": lines}) as server:
        port = server.ports["http"]
        mine = {"Authorization": f"Bearer {TOKEN}"}
        anything = {"Authorization": f"Bearer {OTHER}"}
        line = b'{"app":"shop","ts":1764000000.5,"level":"warn","msg":"one","n":1}\n'

        def post(body: bytes, headers: dict[str, str], path: str = "/jsonlines") -> int:
            return ask(port, "POST", path, body, headers)[0]

        assert post(line, mine) == 200
        assert (
            post(gzip.compress(b'{"msg":"no app"}\n\n'), mine | {"Content-Encoding": "gzip"}) == 200
        )
        # Nothing of any of these is stored.
        assert post(line, {}) == 401
        assert post(line, {"Authorization": "Bearer " + "x" * 20}) == 401
        assert post(line + b'{"app":"bank","msg":"two"}', mine) == 403
        assert post(line + b"not json", mine) == 400
        assert post(line * 1000, mine) == 413
        bomb = gzip.compress(line * 1000)
        assert post(bomb, mine | {"Content-Encoding": "gzip"}) == 413
        assert post(line, mine | {"Content-Encoding": "br"}) == 400
        assert post(b"{}", mine, "/loki/api/v1/push") == 400
        assert post(b"{}", mine | {"Content-Type": "text/plain"}, "/v1/logs") == 415
        assert post(b"not\n", mine, "/_bulk") == 400
        assert post(b"lower=case\n\n", mine, "/upload") == 400
        assert ask(port, "GET", "/jsonlines")[0] == 405
        assert ask(port, "GET", "/nowhere")[0] == 404
        assert post(b'{"app":"bank","msg":"three"}', anything) == 200
        rows = server.rows()
        found = counts(port, mine)
    assert sorted((row.app, row.msg, row.level) for row in rows) == [
        ("bank", "three", "INFO"),
        ("shop", "no app", "INFO"),
        ("shop", "one", "WARN"),
    ]
    assert next(row.t for row in rows if row.msg == "one") == 1764000000500000000
    assert found["stored"] == 3
    assert found["unauthorised"] == 3
    assert found["oversized"] == 2
    assert found["malformed"] == 6 - 1


def test_requests_beyond_the_memory_for_bodies_wait_and_are_answered(tmp_path: Path) -> None:
    # One body may have all that there is for bodies.
    lines = f'kind = "http"\nbody_bytes_max = {256 * 1024**2}'
    with LogServer(tmp_path, {"http": lines}) as server:
        port = server.ports["http"]
        slow = HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
        others = [HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S) for _ in range(5)]
        body = b'{"msg":"slow"}'
        try:
            slow.putrequest("POST", "/jsonlines")
            slow.putheader("Content-Length", str(len(body)))
            slow.endheaders(body[:5])
            for other in others:
                other.request("POST", "/jsonlines", b'{"msg":"other"}')
            # Who holds no body is not held up.
            assert ask(port, "GET", "/counts")[0] == 200
            slow.send(body[5:])
            assert {c.getresponse().status for c in (slow, *others)} == {200}
        finally:
            for connection in (slow, *others):
                connection.close()
        assert sorted(row.msg for row in server.rows()) == ["other"] * 5 + ["slow"]


def test_what_was_answered_is_there_after_a_kill(tmp_path: Path) -> None:
    with LogServer(tmp_path, HTTP) as server:
        for number in range(20):
            body = b'{"msg":"line %d"}' % number
            assert ask(server.ports["http"], "POST", "/jsonlines", body)[0] == 200
        server.kill()
        server.start()
        eventually(lambda: len(server.rows()) >= 20)
        assert {row.msg for row in server.rows()} == {f"line {number}" for number in range(20)}
