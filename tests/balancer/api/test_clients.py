"""Clients that others wrote: curl, and the command line of ours."""

from __future__ import annotations

import json
import shutil
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
from balancer.api.asking import SPIN, ask
from balancer.api.test_access import READER, WRITER, tokens
from balancer.stage import PATIENCE_S, staged
from click.testing import CliRunner

from verdant.balancer import BadRule, BalancerClient, Conflict, parse_rule
from verdant.cli.main import main
from verdant.core import run_in_worker

if TYPE_CHECKING:
    from pathlib import Path

    from balancer.stage import Stage

CURL = shutil.which("curl")
needs_curl = pytest.mark.skipif(CURL is None, reason="curl is not installed")


def curl(*arguments: str) -> tuple[int, Any]:
    """The status and the JSON that curl got."""
    command = [str(CURL), "-sS", "-m", str(PATIENCE_S), "-w", "\n%{http_code}", *arguments]
    done: Any = run_in_worker(
        lambda: subprocess.run(command, capture_output=True, text=True, check=True)
    )
    body, status = done.stdout.rsplit("\n", 1)
    return int(status), json.loads(body)


@needs_curl
def test_curl_changes_rules(stage: Stage, tmp_path: Path) -> None:
    base = f"http://{stage.service.management_address}"
    # Without a Content-Type of its own, curl says that it sends a form.
    rule = json.dumps(["empty", {"code": 410}, False])
    assert curl("-X", "PUT", "-d", rule, f"{base}/hostname/a.test/") == (200, {"ok": True})
    assert curl(f"{base}/hostname/a.test") == (200, ["empty", {"code": 410}, False])
    status, answer = curl("-X", "PUT", "-d", '["fly",{},false]', f"{base}/hostname/a.test/")
    assert (status, answer["error"]) == (400, "host_action_invalid:fly")
    assert curl("-X", "DELETE", f"{base}/hostname/a.test/") == (200, {"ok": True})

    assert curl("-X", "PUT", "-d", json.dumps(SPIN), f"{base}/v1/hosts/a.test")[0] == 200
    status, found = curl(f"{base}/v1/hosts/a.test")
    tag = f'If-Match: "{found["etag"]}"'
    edit = json.dumps({"put": {"b.test": SPIN}, "delete": ["a.test"]})
    as_json = ["-H", "Content-Type: application/json", "-d", edit]
    assert curl(*as_json, f"{base}/v1/hosts")[1]["version"] == 4
    assert curl("-X", "DELETE", "-H", tag, f"{base}/v1/hosts/a.test")[0] == 412
    # A large body comes with Expect: 100-continue.
    table = tmp_path / "table.json"
    table.write_text(json.dumps({f"h{n:06}.test": SPIN for n in range(30_000)}))
    assert curl("-T", str(table), f"{base}/v1/hosts")[1]["put"] == 30_000
    assert curl(f"{base}/v1/status")[1]["count"] == 30_000


@needs_curl
def test_curl_follows_changes(stage: Stage) -> None:
    base = f"http://{stage.service.management_address}"
    command = [str(CURL), "-sSN", "-m", str(PATIENCE_S), f"{base}/v1/changes"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    output = process.stdout
    assert output is not None
    try:

        def line() -> bytes:
            found: bytes = run_in_worker(output.readline)
            return found

        assert line() == b": following from 0\n"
        ask(stage, "PUT", "/v1/hosts/a.test", SPIN)
        assert [line() for _ in range(3)] == [b"\n", b"id: 1\n", b"event: change\n"]
        assert json.loads(line().removeprefix(b"data: "))["put"]["a.test"]["action"] == "spin"
    finally:
        process.kill()
        process.wait()
        output.close()


def verdant(stage: Stage, *arguments: str, **environment: str) -> tuple[int, str]:
    """In this process: the balancer's green threads answer while the command waits."""
    found = {"VERDANT_MANAGEMENT": str(stage.service.management_address), **environment}
    done = CliRunner().invoke(main, list(arguments), env=found)
    return done.exit_code, done.output


def test_the_command_line_shows_its_token(tmp_path: Path) -> None:
    with staged(tmp_path, tokens=tokens(tmp_path)) as stage:
        setting = ["rules", "set", "a.test", "spin", "false"]
        code, said = verdant(stage, *setting)
        assert (code, "token" in said) == (1, True)
        code, said = verdant(stage, *setting, VERDANT_TOKEN=READER)
        assert (code, "may read" in said) == (1, True)
        assert verdant(stage, *setting, VERDANT_TOKEN=WRITER) == (0, "")
        assert stage.service.rulebook.rules() == {"a.test": parse_rule(["spin", {}, False])}
        # The file that is named wins over the environment.
        file = str(tmp_path / "reader.token")
        code, said = verdant(stage, "stats", "--json", "--token-file", file, VERDANT_TOKEN="x")
        assert (code, json.loads(said)) == (0, {})
        code, said = verdant(stage, "stats", "--token-file", "/nowhere")
        assert (code, "/nowhere" in said) == (2, True)


def test_our_client_edits_and_pages(stage: Stage) -> None:
    client = BalancerClient(str(stage.service.management_address))
    table = {f"h{n:04}.test": SPIN for n in range(1500)}
    assert client.edit(put=table)["put"] == 1500
    found = list(client.hosts())
    assert [entry["host"] for entry in found] == sorted(table)
    assert list(client.hosts(inactive_since_s=1e9)) == []
    tag = str(found[0]["etag"])
    assert client.edit(delete=["h0000.test"], expected={"h0000.test": tag})["deleted"] == 1
    with pytest.raises(Conflict, match="gone") as gone:
        client.edit(put={"h0000.test": SPIN}, expected={"h0000.test": tag})
    assert gone.value.tag is None
    with pytest.raises(Conflict, match="exists already") as there:
        client.edit(put={"h0001.test": SPIN}, expected={"h0001.test": None})
    assert there.value.tag == tag
    with pytest.raises(BadRule, match="no action"):
        client.edit(put={"a.test": {"action": "fly"}})
