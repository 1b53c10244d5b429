from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from balancer.api.asking import EMPTY, SPIN, ask
from balancer.stage import eventually, staged

from verdant import spawn

if TYPE_CHECKING:
    from pathlib import Path

    from balancer.stage import Stage

ZERO = {"open_requests": 0, "completed_requests": 0, "bytes_sent": 0, "bytes_received": 0}


def test_a_host_is_put_read_and_deleted(stage: Stage) -> None:
    said = ask(stage, "PUT", "/v1/hosts/A.test:80", SPIN)
    assert (said.status, said.body["changed"], said.body["version"]) == (200, True, 1)
    found = ask(stage, "GET", "/v1/hosts/a.test")
    assert (found.status, found.tag) == (200, said.tag)
    idle_since = found.body.pop("idle_since")
    assert idle_since.endswith("Z")
    assert found.body == {
        "host": "a.test",
        "rule": SPIN,
        "etag": said.tag.strip('"'),
        "stats": ZERO,
        "held_requests": 0,
        "last_activity": None,
    }
    assert ask(stage, "DELETE", "/v1/hosts/a.test").body["deleted"] == 1
    assert ask(stage, "GET", "/v1/hosts/a.test").status == 404
    assert ask(stage, "DELETE", "/v1/hosts/a.test").body["changed"] is False


def test_what_was_read_is_taken_back_and_so_is_mantrids_form(stage: Stage) -> None:
    ask(stage, "PUT", "/v1/hosts/https%3A%2F%2Fa.test", EMPTY)
    found = ask(stage, "GET", "/v1/hosts/https://a.test").body
    assert found["rule"] == EMPTY
    assert ask(stage, "PUT", "/v1/hosts/https://a.test", found["rule"]).body["changed"] is False
    as_list = ["empty", {"code": "403"}, True]
    assert ask(stage, "PUT", "/v1/hosts/https://a.test", as_list).body["changed"] is False
    assert stage.manage("GET", "/hostname/https://a.test/") == (200, ["empty", {"code": 403}, True])


def test_an_equal_rule_writes_nothing(stage: Stage, tmp_path: Path) -> None:
    journal = tmp_path / "state" / "journal.jsonl"
    ask(stage, "PUT", "/v1/hosts/a.test", SPIN)
    before = journal.read_bytes()
    said = ask(stage, "PUT", "/v1/hosts/a.test", SPIN)
    assert said.body == {"changed": False, "put": 0, "deleted": 0, "version": 1}
    assert journal.read_bytes() == before


def test_many_changes_are_one_write(stage: Stage, tmp_path: Path) -> None:
    ask(stage, "PUT", "/v1/hosts/old.test", SPIN)
    journal = tmp_path / "state" / "journal.jsonl"
    lines = len(journal.read_bytes().splitlines())
    edit = {"put": {"a.test": SPIN, "b.test": EMPTY}, "delete": ["old.test", "absent.test"]}
    said = ask(stage, "POST", "/v1/hosts", edit)
    assert said.body == {"changed": True, "put": 2, "deleted": 1, "version": 2}
    assert said.tag == '"v2"'
    assert len(journal.read_bytes().splitlines()) == lines + 1
    assert stage.get(host=b"b.test")[0] == 403


@pytest.mark.parametrize(
    "bad",
    [
        {"put": {"a.test": SPIN, "b.test": {"action": "fly"}}},
        {"put": {"a.test": SPIN, "b c": SPIN}},
        {"put": {"a.test": SPIN}, "delete": ["a.test"]},
        {"put": {"a.test": SPIN}, "delete": "old.test"},
        {"put": {"a.test": SPIN}, "if": {"old.test": "0000000000000000"}},
        {"put": {"a.test": SPIN}, "if": {"old.test": None}},
        {"put": {"a.test": SPIN}, "if": {"old.test": 7}},
        {"put": {"a.test": SPIN}, "if": []},
        {"put": {"a.test": SPIN}, "also": 1},
        {"put": [SPIN]},
        [],
    ],
)
def test_a_bulk_change_is_made_whole_or_not_at_all(stage: Stage, bad: object) -> None:
    ask(stage, "PUT", "/v1/hosts/old.test", SPIN)
    said = ask(stage, "POST", "/v1/hosts", bad)
    assert said.status in (400, 412)
    assert " " in said.body["message"]
    page = ask(stage, "GET", "/v1/hosts").body
    assert ([h["host"] for h in page["hosts"]], page["version"]) == (["old.test"], 1)


def test_a_bulk_change_is_json_by_name(stage: Stage) -> None:
    # A form of any web page can send text/plain to loopback.
    said = ask(stage, "POST", "/v1/hosts", {}, Content_Type="text/plain")
    assert (said.status, said.body["error"]) == (400, "content_type_invalid")


def test_compare_and_set_by_the_rules_tag(stage: Stage) -> None:
    first = ask(stage, "PUT", "/v1/hosts/a.test", SPIN, If_None_Match="*")
    assert first.status == 200
    taken = ask(stage, "PUT", "/v1/hosts/a.test", EMPTY, If_None_Match="*")
    assert (taken.status, taken.tag) == (412, first.tag)
    second = ask(stage, "PUT", "/v1/hosts/a.test", EMPTY, If_Match=first.tag)
    assert second.status == 200
    late = ask(stage, "PUT", "/v1/hosts/a.test", SPIN, If_Match=first.tag)
    assert (late.status, late.body["error"], late.tag) == (412, "precondition_failed", second.tag)
    assert ask(stage, "DELETE", "/v1/hosts/a.test", If_Match=first.tag).status == 412
    either = f"{first.tag}, {second.tag}"
    assert ask(stage, "DELETE", "/v1/hosts/a.test", If_Match=either).status == 200
    gone = ask(stage, "PUT", "/v1/hosts/a.test", SPIN, If_Match="*")
    assert (gone.status, "etag" in gone.fields) == (412, False)


def test_compare_and_set_by_the_tables_tag(stage: Stage) -> None:
    tag = ask(stage, "GET", "/v1/hosts").tag
    assert tag == '"v0"'
    assert ask(stage, "PUT", "/v1/hosts", {"a.test": SPIN}, If_Match=tag).status == 200
    assert ask(stage, "PUT", "/v1/hosts", {"b.test": SPIN}, If_Match=tag).status == 412
    # Changes by Mantrid's interface count too.
    stage.manage("PUT", "/hostname/c.test/", ["spin", {}, False])
    assert ask(stage, "POST", "/v1/hosts", {"delete": ["a.test"]}, If_Match='"v1"').status == 412
    assert ask(stage, "POST", "/v1/hosts", {"delete": ["a.test"]}, If_Match='"v2"').status == 200


def test_of_many_who_compare_and_set_at_once_one_wins(stage: Stage) -> None:
    tag = ask(stage, "PUT", "/v1/hosts/a.test", SPIN).tag

    def attempt(code: int) -> int:
        rule = {"action": "empty", "arguments": {"code": code}}
        return ask(stage, "PUT", "/v1/hosts/a.test", rule, If_Match=tag).status

    statuses = [t.wait() for t in [spawn(attempt, 400 + n) for n in range(20)]]
    assert sorted(statuses) == [200] + [412] * 19


@pytest.mark.parametrize("field", ["", "v1", '"v1', '"a",', '"a" "b"', 'W/"a"', '"\xe9"', ","])
def test_a_condition_that_is_none_changes_nothing(stage: Stage, field: str) -> None:
    said = ask(stage, "PUT", "/v1/hosts/a.test", SPIN, If_Match=field)
    assert said.status in (400, 412)
    assert ask(stage, "GET", "/v1/hosts").body["count"] == 0


def test_tags_and_versions_are_the_same_after_a_restart(tmp_path: Path) -> None:
    with staged(tmp_path) as stage:
        tag = ask(stage, "PUT", "/v1/hosts/a.test", SPIN).tag
    with staged(tmp_path) as stage:
        page = ask(stage, "GET", "/v1/hosts")
        assert page.body["version"] == 1
        assert ask(stage, "GET", "/v1/hosts/a.test").tag == tag
        assert ask(stage, "DELETE", "/v1/hosts/a.test", If_Match=tag).status == 200


def names_of(stage: Stage, query: str) -> list[str]:
    """All pages."""
    names: list[str] = []
    after = ""
    for _ in range(100):
        page = ask(stage, "GET", f"/v1/hosts?{query}&after={after}").body
        names.extend(host["host"] for host in page["hosts"])
        after = page["next"]
        if after is None:
            return names
    raise AssertionError("the pages have no end")


@pytest.mark.parametrize("limit", [1, 7, 1000])
def test_pages_have_every_host_once_and_in_order(stage: Stage, limit: int) -> None:
    table = {f"h{n}.test": SPIN for n in range(40)}
    ask(stage, "PUT", "/v1/hosts", table)
    assert names_of(stage, f"limit={limit}") == sorted(table)
    # The order is kept up with changes.
    ask(
        stage, "POST", "/v1/hosts", {"put": {"a.test": SPIN, "z.test": SPIN}, "delete": ["h7.test"]}
    )
    wanted = sorted({*table, "a.test", "z.test"} - {"h7.test"})
    assert names_of(stage, f"limit={limit}") == wanted
    # And with one that is too large to be told.
    larger = {f"g{n}.test": SPIN for n in range(1200)}
    ask(stage, "POST", "/v1/hosts", {"put": larger})
    assert names_of(stage, "limit=1000") == sorted({*wanted, *larger})


@pytest.mark.parametrize("query", ["limit=0", "limit=1001", "limit=-1", "limit=x", "limit=",
                                   "inactive_since=soon", "inactive_since=2030-01-01",
                                   "inactive_since=nan", "inactive_since=1e300"])  # fmt: skip
def test_a_bad_question_is_a_400(stage: Stage, query: str) -> None:
    said = ask(stage, "GET", f"/v1/hosts?{query}")
    assert (said.status, set(said.body)) == (400, {"error", "message"})


def sleepers(stage: Stage, since: str) -> list[str]:
    page: dict[str, Any] = ask(stage, "GET", f"/v1/hosts?inactive_since={since}").body
    return [host["host"] for host in page["hosts"]]


def test_hosts_that_nothing_asked_for_are_found(stage: Stage) -> None:
    table = {"busy.test": EMPTY, "idle.test": EMPTY}
    ask(stage, "PUT", "/v1/hosts", table)
    book = stage.service.rulebook
    # Both rules were set at the year 2001, as far as the balancer knows.
    book.activity._since_s = 0.0
    book.activity.touch(table, 1e9)
    stage.get(host=b"busy.test")
    assert sleepers(stage, "2001-09-09T01:46:40Z") == []
    assert sleepers(stage, "2001-09-09T01:46:41Z") == ["idle.test"]
    # The sweeper, which the service runs every other second, writes the time down.
    book.sweep()
    busy = ask(stage, "GET", "/v1/hosts/busy.test").body
    assert busy["last_activity"] == busy["idle_since"]
    assert busy["last_activity"] > "2020"
    assert sleepers(stage, "1000000001.5") == ["idle.test"]
    assert ask(stage, "GET", "/v1/hosts/idle.test").body["last_activity"] is None
    # A rule that was set is a sign of life, so that nobody puts to sleep what was just deployed.
    ask(stage, "PUT", "/v1/hosts/idle.test", SPIN)
    assert sleepers(stage, "2001-09-09T01:46:41Z") == []


def test_a_host_with_an_open_request_is_not_idle(stage: Stage) -> None:
    ask(stage, "PUT", "/v1/hosts/a.test", SPIN)
    client = stage.client()
    client.say(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n")
    eventually(lambda: ask(stage, "GET", "/v1/hosts/a.test").body["held_requests"] == 1)
    activity = stage.service.rulebook.activity
    activity._since_s = 0.0
    activity._touched.clear()
    assert sleepers(stage, "2010-01-01T00:00:00Z") == []
    status = ask(stage, "GET", "/v1/status").body
    assert (status["held_requests"], status["held_by_host"]) == (1, {"a.test": 1})
    assert status["totals"]["open_requests"] == 1
    ask(stage, "PUT", "/v1/hosts/a.test", EMPTY)
    assert client.answer()[0] == 403


def test_large_tables_come_in_pages_and_go_in_one_write(stage: Stage) -> None:
    table = {
        f"h{n:05}.test": {"action": "empty", "arguments": {"code": 200}} for n in range(20_000)
    }
    said = ask(stage, "PUT", "/v1/hosts", table)
    assert said.body == {"changed": True, "put": 20_000, "deleted": 0, "version": 1}
    assert len(names_of(stage, "limit=1000")) == 20_000
    assert json.dumps(ask(stage, "PUT", "/v1/hosts", table).body["changed"]) == "false"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/v1/", 404), ("GET", "/v1/nothing", 404), ("PATCH", "/v1/hosts", 405),
     ("POST", "/v1/hosts/a.test", 405), ("PUT", "/v1/changes", 405), ("DELETE", "/metrics", 405),
     ("PUT", "/v1/hosts/a/b", 400), ("GET", "/v1/hosts/", 404), ("POST", "/readyz", 405)],
)  # fmt: skip
def test_unknown_paths_and_methods(stage: Stage, method: str, path: str, status: int) -> None:
    said = ask(stage, method, path)
    assert said.status == status
    assert "error" in said.body
