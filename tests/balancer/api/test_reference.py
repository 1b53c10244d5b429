"""The reference is true: what it shows is taken, and every path stands in it."""

from __future__ import annotations

import json
import re
from pathlib import Path

from balancer.api.asking import EMPTY, SPIN, ask
from balancer.stage import Stage  # noqa: TC002 - pytest reads it

from verdant.balancer.api.application import _PATHS
from verdant.balancer.api.shapes import read_bulk, read_rule, rule_json
from verdant.balancer.edits import rule_tag

TEXT = (Path(__file__).parents[3] / "docs/reference/management-api.md").read_text()
BLOCKS = [json.loads(block) for block in re.findall(r"```json\n(.*?)```", TEXT, re.DOTALL)]


def test_every_path_is_described() -> None:
    described = set(re.findall(r"`(?:[A-Z]+) (/[^`? ]*)`", TEXT))
    for rule in _PATHS.iter_rules():
        assert re.sub(r"<path:host>", "H", rule.rule) in described, rule.rule


def test_what_it_shows_is_what_there_is(stage: Stage) -> None:
    rule, host, edit = BLOCKS
    assert rule_json(read_rule(rule)) == rule
    assert rule_tag(read_rule(host["rule"])) == host["etag"]
    found = ask(stage, "PUT", "/v1/hosts/a.test", SPIN)
    assert found.status == 200
    entry = ask(stage, "GET", "/v1/hosts/a.test").body
    assert entry.keys() == host.keys()
    assert {k: type(v) for k, v in entry.items() if v is not None} == {
        k: type(v) for k, v in host.items() if entry[k] is not None
    }
    made = read_bulk(edit)
    assert set(made.put) == {"a.example.com", "b.example.com"}
    assert len(made.conditions) == 2
    ask(stage, "PUT", "/v1/hosts", {"a.example.com": SPIN, "old.example.com": EMPTY})
    said = ask(stage, "POST", "/v1/hosts", edit).body
    assert said == {"changed": True, "put": 2, "deleted": 1, "version": 3}
    assert ask(stage, "POST", "/v1/hosts", edit).status == 412
