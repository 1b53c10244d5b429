from __future__ import annotations

import hashlib
import logging
import re
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from balancer.api.asking import EMPTY, SPIN, ask
from balancer.stage import staged

from verdant.balancer import (
    BalancerClient,
    BalancerConfig,
    ManagementRefused,
    TokenConfig,
)
from verdant.balancer.api.access import Access
from verdant.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from balancer.stage import Stage

READER = "r" * 40
WRITER = "w" * 40


def tokens(directory: Path) -> list[TokenConfig]:
    """One by its hash, one by a file."""
    file = directory / "reader.token"
    file.write_text(READER + "\n")
    file.chmod(0o640)
    return [
        TokenConfig(name="monitor", file=str(file)),
        TokenConfig(
            name="deploy", scope="write", sha256=hashlib.sha256(WRITER.encode()).hexdigest()
        ),
    ]


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Stage]:
    with staged(tmp_path, tokens=tokens(tmp_path)) as made:
        yield made


READING = ["/v1/hosts", "/v1/hosts/a.test", "/v1/status", "/v1/changes", "/v1/openapi.json",
           "/metrics", "/hostname/", "/hostname/a.test/", "/stats/", "/nothing"]  # fmt: skip
WRITING = [("PUT", "/v1/hosts/a.test", SPIN), ("DELETE", "/v1/hosts/a.test", ...),
           ("POST", "/v1/hosts", {}), ("PUT", "/v1/hosts", {}), ("PUT", "/hostname/", {}),
           ("PUT", "/hostname/a.test/", ["spin", {}, True]), ("DELETE", "/hostname/a.test/", ...),
           ("POST", "/hostname/a.test/backends/", "1.2.3.4:5")]  # fmt: skip


@pytest.mark.parametrize(
    "shown", [None, "", "Bearer", "Bearer x", f"Basic {WRITER}", WRITER, f"Bearer {READER} x",
              "Bearer \xe9"]
)  # fmt: skip
def test_nothing_is_said_without_a_token(guarded: Stage, shown: str | None) -> None:
    fields = {} if shown is None else {"Authorization": shown}
    for path in READING:
        said = ask(guarded, "GET", path, **fields)
        assert (said.status, said.body["error"]) == (401, "token_missing"), path
        assert said.fields["www-authenticate"].startswith("Bearer")
    for method, path, document in WRITING:
        assert ask(guarded, method, path, document, **fields).status == 401
    assert guarded.service.rulebook.rules() == {}


def test_a_reading_token_reads_and_changes_nothing(guarded: Stage) -> None:
    fields = {"Authorization": f"Bearer {READER}"}
    for path in READING:
        if path != "/v1/changes":
            assert ask(guarded, "GET", path, **fields).status in (200, 404)
    for method, path, document in WRITING:
        said = ask(guarded, method, path, document, **fields)
        assert (said.status, said.body["error"]) == (403, "scope_insufficient")
    assert guarded.service.rulebook.rules() == {}


def test_a_writing_token_may_do_both(guarded: Stage) -> None:
    fields = {"Authorization": f"bearer {WRITER}"}
    assert ask(guarded, "PUT", "/v1/hosts/a.test", SPIN, **fields).status == 200
    assert ask(guarded, "GET", "/v1/hosts/a.test", **fields).status == 200


def test_probes_need_no_token(guarded: Stage) -> None:
    assert ask(guarded, "GET", "/healthz").body == {"ok": True}
    assert ask(guarded, "GET", "/readyz").body == {"ok": True}
    guarded.service._stopping = True
    assert ask(guarded, "GET", "/healthz").status == 200
    assert ask(guarded, "GET", "/readyz").status == 503


def test_the_client_shows_its_token(guarded: Stage) -> None:
    address = str(guarded.service.management_address)
    BalancerClient(address, token=WRITER).set_rule("a.test", ["spin", {}, False])
    assert "a.test" in BalancerClient(address, token=READER).rules()
    with pytest.raises(ManagementRefused, match="may read"):
        BalancerClient(address, token=READER).delete_rule("a.test")
    with pytest.raises(ManagementRefused, match="token"):
        BalancerClient(address).rules()


def test_a_web_page_gets_nothing_without_tokens(stage: Stage) -> None:
    said = ask(stage, "POST", "/v1/hosts", {}, Origin="http://evil.test")
    assert (said.status, said.body["error"]) == (403, "browser_refused")
    assert ask(stage, "PUT", "/hostname/", {}, Origin="null").status == 403


@pytest.mark.parametrize("host", ["evil.test", "evil.test:8042", "127.0.0.1.evil.test", "1.2.3"])
def test_a_name_that_was_made_to_lead_here_gets_nothing(stage: Stage, host: str) -> None:
    said = ask(stage, "GET", "/hostname/", Host=host)
    assert (said.status, said.body["error"]) == (403, "browser_refused")


@pytest.mark.parametrize("host", ["localhost", "balancer:8042", "127.0.0.1:1", "[::1]:1", "[::1]"])
def test_a_name_of_this_machine_is_fine(stage: Stage, host: str) -> None:
    assert ask(stage, "GET", "/hostname/", Host=host).status == 200


def test_it_listens_on_a_unix_socket(tmp_path: Path) -> None:
    with staged(tmp_path, bind_management=[f"unix:{tmp_path}/api.sock"]):
        client = BalancerClient(f"unix:{tmp_path}/api.sock")
        client.set_rule("a.test", ["spin", {}, False])
        assert list(client.rules()) == ["a.test"]


@pytest.mark.parametrize("key", ["management", "bind_management"])
@pytest.mark.parametrize(
    "address", ["0.0.0.0:8042", "*:8042", "[::]:8042", "10.0.0.1:8042", "me:1"]
)
def test_other_machines_need_a_token(tmp_path: Path, key: str, address: str) -> None:
    value: Any = address if key == "management" else [address]
    with pytest.raises(ValueError, match=f"{key}: .*tokens"):
        BalancerConfig(**{key: value})
    BalancerConfig(tokens=tokens(tmp_path), **{key: value})


@pytest.mark.parametrize(
    "address", ["127.0.0.1:1", "127.9.9.9:1", "[::1]:1", "localhost:1", "unix:/x"]
)
def test_this_machine_needs_none(address: str) -> None:
    assert BalancerConfig(management=address).management == address


@pytest.mark.parametrize(
    "table",
    [{"name": "a"}, {"name": "a", "sha256": "00" * 32, "file": "/x"}, {"name": "a", "sha256": "0"},
     {"name": "a b", "file": "/x"}, {"name": "a", "file": "/x", "scope": "admin"}],
)  # fmt: skip
def test_a_token_that_nobody_could_show_is_refused(table: dict[str, str]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(table, TokenConfig)


def test_two_tokens_of_one_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="same name"):
        BalancerConfig(tokens=[tokens(tmp_path)[0], tokens(tmp_path)[0]])


@pytest.mark.parametrize(
    ("content", "mode", "said"),
    [(None, 0, "cannot be read"), ("x" * 31, 0o600, "openssl rand"), ("a b" * 20, 0o600, "blanks"),
     ("x" * 40, 0o644, "chmod o="), ("", 0o600, "one line"), ("x" * 5000, 0o600, "4096")],
)  # fmt: skip
def test_a_bad_token_file_is_named(
    tmp_path: Path, content: str | None, mode: int, said: str
) -> None:
    file = tmp_path / "token"
    if content is not None:
        file.write_text(content)
        file.chmod(mode)
    with pytest.raises(ConfigurationError, match=re.escape(str(file))) as caught:
        Access([TokenConfig(name="a", file=str(file))])
    assert said in str(caught.value)


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [r.getMessage() for r in caplog.records if r.name == "verdant.balancer.audit"]


def test_each_change_leaves_a_line(guarded: Stage, caplog: pytest.LogCaptureFixture) -> None:
    fields = {"Authorization": f"Bearer {WRITER}"}
    with caplog.at_level(logging.INFO, "verdant.balancer.audit"):
        ask(guarded, "PUT", "/v1/hosts/a.test", SPIN, **fields)
        ask(guarded, "PUT", "/hostname/a.test/", ["empty", {"code": 403}, True], **fields)
        ask(guarded, "PUT", "/v1/hosts/a.test", EMPTY, **fields)  # no change
        ask(guarded, "PUT", "/v1/hosts/a.test", {"action": "fly"}, **fields)
        ask(guarded, "DELETE", "/v1/hosts/a.test", Authorization=f"Bearer {READER}")
        ask(guarded, "DELETE", "/v1/hosts/a.test", **fields)
        ask(guarded, "PUT", "/v1/hosts", {f"h{n}": SPIN for n in range(1001)}, **fields)
    by = "by deploy@127.0.0.1"
    assert lines(caplog) == [
        f'change 1 {by}: "a.test" none -> ["spin",{{}},false]',
        f'change 2 {by}: "a.test" ["spin",{{}},false] -> ["empty",{{"code":403}},true]',
        f'change 3 {by}: "a.test" ["empty",{{"code":403}},true] -> none',
        f"change 4 {by}: 1001 hosts at once",
    ]


def test_no_input_makes_a_line_of_its_own(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "verdant.balancer.audit"):
        rule = {"action": "redirect", "arguments": {"redirect_to": "http://x/%0a"}}
        ask(stage, "PUT", "/v1/hosts/a.test", rule)
        bad = {"action": "redirect", "arguments": {"redirect_to": "http://x/\nchange 9 by root"}}
        assert ask(stage, "PUT", "/v1/hosts/b.test", bad).status == 400
    assert len(lines(caplog)) == 1
    assert "\n" not in lines(caplog)[0]
