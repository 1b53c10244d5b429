from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verdant.balancer.errors import BadRule
from verdant.balancer.proxy_rule import PROXY_ARGUMENTS, BackendEntry, HeaderEdits
from verdant.balancer.rules import (
    ACTION_NAMES,
    Empty,
    NoHosts,
    Proxy,
    Redirect,
    Rule,
    Spin,
    Static,
    Unknown,
    normalise_host,
    parse_rule,
    parse_rules,
    rules_to_json,
)

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner),
    max_leaves=12,
)

names = [
    "code",
    *(argument.name for argument in PROXY_ARGUMENTS),
    "redirect_to",
    "timeout",
    "check_interval",
    "type",
]

edits = st.dictionaries(
    st.sampled_from(["add", "set", "remove"]),
    st.dictionaries(st.sampled_from(["X-A", "Host", "te"]), st.text(max_size=5))
    | st.lists(st.sampled_from(["X-A", "Host", "te", ""]), max_size=2),
)

# Rules that are nearly right: they reach the argument readers.
near_rules = st.tuples(
    st.sampled_from(ACTION_NAMES) | st.text(max_size=5),
    st.dictionaries(
        st.sampled_from(names),
        anything | st.sampled_from(["403", "a:8000,b:1", "2.5", "/x", "header:X", "both"]) | edits,
        max_size=3,
    ),
    st.booleans(),
).map(list)


@pytest.mark.parametrize(
    ("sent", "arguments"),
    [
        (["empty", {"code": 403}, False], Empty(403)),
        (["empty", {"code": "403"}, False], Empty(403)),
        (["proxy", {"backends": [["a", 80]]}, True], Proxy((BackendEntry("a", 80),), 1, 1.0)),
        (
            ["proxy", {"backends": "a:8000,b:8001", "attempts": "3", "delay": "0.5"}, True],
            Proxy((BackendEntry("a", 8000), BackendEntry("b", 8001)), 3, 0.5),
        ),
        (["proxy", {"backends": [["::1", "80"], "[::2]:81"]}, True],
         Proxy((BackendEntry("::1", 80), BackendEntry("::2", 81)))),
        (["redirect", {"redirect_to": "https://a.example/x"}, True], Redirect("https://a.example/x")),
        (["redirect", {"redirect_to": "www.example.com"}, True], Redirect("www.example.com")),
        (["spin", {}, False], Spin(120.0, 1.0)),
        (["spin", {"timeout": "2.5", "check_interval": 3}, False], Spin(2.5, 3.0)),
        (["static", {"type": "timeout"}, False], Static("timeout")),
        (["unknown", {}, True], Unknown()),
        (["no_hosts", {}, True], NoHosts()),
    ],
)  # fmt: skip
def test_each_action_reads_its_arguments(sent: list[Any], arguments: object) -> None:
    rule = parse_rule(sent)
    assert (rule.action, rule.arguments, rule.match_subdomains) == (sent[0], arguments, sent[2])
    assert parse_rule(rule.to_json()) == rule


@pytest.mark.parametrize(
    "sent",
    [
        ["proxy", {"backends": [["a", 1]]}, True],
        ["proxy", {"backends": [["a", 1]], "attempts": 1, "delay": 1}, True],
        ["proxy", {"backends": [["a", 1]], "delay": 0.25}, False],
        ["spin", {"timeout": 120}, False],
        ["empty", {"code": 404}, True],
    ],
)
def test_a_rule_reads_back_as_it_was_sent(sent: list[Any]) -> None:
    assert json.loads(json.dumps(parse_rule(sent).to_json())) == sent


def test_a_proxy_rule_may_say_a_lot_and_as_text_too() -> None:
    said = {
        "backends": [["a", 1], {"address": "b:2", "weight": 3, "connections_max": 4}],
        "policy": "consistent_hash",
        "hash_on": "cookie:id",
        "total_timeout_s": 2.5,
        "request_headers": {"remove": ["X-A"], "set": {"X-B": "b"}, "add": {"X-C": "c"}},
        "health_path": "/health",
    }
    rule = parse_rule(["proxy", said, False])
    assert rule.to_json() == ["proxy", said, False]
    assert isinstance(rule.arguments, Proxy)
    assert rule.arguments.backends[1] == BackendEntry("b", 2, 3, 4)
    assert rule.arguments.options.request_headers == HeaderEdits(
        ("X-A",), (("X-B", "b"),), (("X-C", "c"),)
    )
    text = {
        **said,
        "total_timeout_s": "2.5",
        "request_headers": json.dumps(said["request_headers"]),
    }
    assert parse_rule(["proxy", text, False]) == rule


def test_a_rule_made_by_hand_names_what_is_not_default() -> None:
    rule = Rule("proxy", Proxy((BackendEntry("a", 1),), attempts=2))
    assert rule.to_json() == ["proxy", {"backends": [["a", 1]], "attempts": 2}, False]


@pytest.mark.parametrize(
    ("sent", "fault"),
    [
        (None, "host_details_not_list"),
        ({}, "host_details_not_list"),
        ("proxy", "host_details_not_list"),
        ([], "host_details_wrong_length"),
        (["empty", {"code": 1}], "host_details_wrong_length"),
        (["empty", {}, True, 1], "host_details_wrong_length"),
        (["fly", {}, True], "host_action_invalid:fly"),
        ([7, {}, True], "host_action_invalid:int"),
        (["empty", [], True], "host_kwargs_not_dict"),
        (["empty", None, True], "host_kwargs_not_dict"),
        (["unknown", {}, 1], "host_match_subdomains_not_bool"),
        (["unknown", {}, "true"], "host_match_subdomains_not_bool"),
        (["empty", {}, True], "host_kwarg_missing:code"),
        (["empty", {"code": 99}, True], "host_kwarg_invalid:code"),
        (["empty", {"code": 100}, True], "host_kwarg_invalid:code"),
        (["empty", {"code": 600}, True], "host_kwarg_invalid:code"),
        (["empty", {"code": True}, True], "host_kwarg_invalid:code"),
        (["empty", {"code": 200.0}, True], "host_kwarg_invalid:code"),
        (["empty", {"code": "\uff12\uff10\uff10"}, True], "host_kwarg_invalid:code"),
        (["empty", {"code": 200, "x": 1}, True], "host_kwarg_unknown:x"),
        (["unknown", {"code": 200}, True], "host_kwarg_unknown:code"),
        (["proxy", {}, True], "host_kwarg_missing:backends"),
        (["proxy", {"backends": []}, True], "host_kwarg_invalid:backends"),
        (["proxy", {"backends": ""}, True], "host_kwarg_invalid:backends"),
        (["proxy", {"backends": [["a"]]}, True], "host_kwarg_invalid:backends"),
        (["proxy", {"backends": [["a", 0]]}, True], "host_kwarg_invalid:backends"),
        (["proxy", {"backends": [["a", 65536]]}, True], "host_kwarg_invalid:backends"),
        (["proxy", {"backends": [["*", 80]]}, True], "host_kwarg_invalid:backends"),
        (["proxy", {"backends": [["a\r\nb", 80]]}, True], "host_kwarg_invalid:backends"),
        (["proxy", {"backends": "unix:/x"}, True], "host_kwarg_invalid:backends"),
        (["proxy", {"backends": [["a", 80]] * 1025}, True], "host_kwarg_invalid:backends"),
        (["proxy", {"backends": "a:1", "attempts": 0}, True], "host_kwarg_invalid:attempts"),
        (["proxy", {"backends": "a:1", "delay": -1}, True], "host_kwarg_invalid:delay"),
        (["proxy", {"backends": [{"address": "a:1", "weight": -1}]}, True],
         "host_kwarg_invalid:backends"),
        (["proxy", {"backends": [{"address": "a:1", "weight": 0}]}, True],
         "host_kwarg_invalid:backends"),
        (["proxy", {"backends": [{"weight": 1}]}, True], "host_kwarg_invalid:backends"),
        (["proxy", {"backends": [{"address": "a:1", "x": 1}]}, True],
         "host_kwarg_invalid:backends"),
        (["proxy", {"backends": "a:1", "policy": "best"}, True], "host_kwarg_invalid:policy"),
        (["proxy", {"backends": "a:1", "hash_on": "header:"}, True], "host_kwarg_invalid:hash_on"),
        (["proxy", {"backends": "a:1", "hash_on": "query:a"}, True], "host_kwarg_invalid:hash_on"),
        (["proxy", {"backends": "a:1", "sticky_cookie": "a b"}, True],
         "host_kwarg_invalid:sticky_cookie"),
        (["proxy", {"backends": "a:1", "retry_budget": 1.5}, True],
         "host_kwarg_invalid:retry_budget"),
        (["proxy", {"backends": "a:1", "health_path": "x"}, True],
         "host_kwarg_invalid:health_path"),
        (["proxy", {"backends": "a:1", "health_status": "399-200"}, True],
         "host_kwarg_invalid:health_status"),
        (["proxy", {"backends": "a:1", "request_headers": {"put": {}}}, True],
         "host_kwarg_invalid:request_headers"),
        (["proxy", {"backends": "a:1", "request_headers": {"set": {"TE": "x"}}}, True],
         "host_kwarg_invalid:request_headers"),
        (["proxy", {"backends": "a:1", "request_headers": {"add": {"Host": "x"}}}, True],
         "host_kwarg_invalid:request_headers"),
        (["proxy", {"backends": "a:1", "response_headers": {"remove": ["Content-*"]}}, True],
         "host_kwarg_invalid:response_headers"),
        (["proxy", {"backends": "a:1", "response_headers": {"set": {"X": "a\r\nb"}}}, True],
         "host_kwarg_invalid:response_headers"),
        (["proxy", {"backends": "a:1", "response_headers": "{"}, True],
         "host_kwarg_invalid:response_headers"),
        (["proxy", {"backends": "a:1", "request_id": "host"}, True],
         "host_kwarg_invalid:request_id"),
        (["proxy", {"backends": "a:1", "strip_prefix": "/app/"}, True],
         "host_kwarg_invalid:strip_prefix"),
        (["proxy", {"backends": "a:1", "forwarded": "all"}, True], "host_kwarg_invalid:forwarded"),
        (["spin", {"timeout": float("nan")}, True], "host_kwarg_invalid:timeout"),
        (["spin", {"timeout": 10**400}, True], "host_kwarg_invalid:timeout"),
        (["spin", {"timeout": "1e3"}, True], "host_kwarg_invalid:timeout"),
        (["static", {"type": "../../etc/passwd"}, True], "host_kwarg_invalid:type"),
        (["static", {"type": ".hidden"}, True], "host_kwarg_invalid:type"),
        (["static", {"type": ""}, True], "host_kwarg_invalid:type"),
        (["static", {"type": "a\n"}, True], "host_kwarg_invalid:type"),
        (["redirect", {"redirect_to": "http://a\r\nSet-Cookie: x"}, True],
         "host_kwarg_invalid:redirect_to"),
        (["redirect", {"redirect_to": "/path"}, True], "host_kwarg_invalid:redirect_to"),
        (["redirect", {"redirect_to": "http://"}, True], "host_kwarg_invalid:redirect_to"),
        (["redirect", {"redirect_to": "http:///x"}, True], "host_kwarg_invalid:redirect_to"),
    ],
)  # fmt: skip
def test_each_fault_has_its_name_and_a_sentence(sent: object, fault: str) -> None:
    with pytest.raises(BadRule) as caught:
        parse_rule(sent)
    assert caught.value.fault == fault
    assert len(str(caught.value)) > 15


def test_a_fault_repeats_no_more_than_a_little_of_what_was_sent() -> None:
    with pytest.raises(BadRule) as caught:
        parse_rule(["x\n" * 1000, {}, True])
    assert len(caught.value.fault) < 200
    assert "\n" not in caught.value.fault + str(caught.value)


@given(anything | near_rules)
def test_whatever_is_sent_is_a_rule_or_a_bad_one(sent: object) -> None:
    try:
        rule = parse_rule(sent)
    except BadRule:
        return
    hash(rule)
    spoken = json.loads(json.dumps(rule.to_json()))
    assert parse_rule(spoken) == rule
    assert parse_rule(spoken).to_json() == spoken


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Example.COM", "example.com"),
        ("example.com.", "example.com"),
        ("example.com:8080", "example.com"),
        ("Example.com.:8080", "example.com"),
        ("HTTPS://Example.com", "https://example.com"),
        ("http://a.b:80", "http://a.b"),
        ("localhost", "localhost"),
        ("_under-score.x", "_under-score.x"),
        ("[::1]:80", "[::1]"),
        ("[FE80::1]", "[fe80::1]"),
        ("10.0.0.1", "10.0.0.1"),
    ],
)
def test_a_host_has_one_spelling(text: str, name: str) -> None:
    assert normalise_host(text) == name
    assert normalise_host(name) == name


@pytest.mark.parametrize(
    "text",
    ["", ".", "a..b", "a b", "a/b", "ftp://a", "*.example.com", "bücher.example", "\u212aelvin",
     "a\n", "::1", "[x]", "a" * 64, ".".join(["abcdefg"] * 40), None, 7, "https://", "a\0b"],
)  # fmt: skip
def test_what_is_no_host_name_is_refused(text: object) -> None:
    with pytest.raises(BadRule):
        normalise_host(text)


@given(st.text(max_size=40))
def test_any_text_is_a_host_or_a_bad_one(text: str) -> None:
    try:
        name = normalise_host(text)
    except BadRule as exc:
        assert exc.fault.startswith("host_invalid")  # noqa: PT017 - the other outcome is fine too
        return
    assert normalise_host(name) == name


def test_the_reference_has_every_argument_and_its_default() -> None:
    text = (Path(__file__).parents[2] / "docs/reference/rules.md").read_text()
    section = text.split("## `proxy`\n")[1].split("\n## ")[0]
    described = re.findall(r"^\| `(\w+)` \| (.*?) \|", section, re.M)
    assert [name for name, _ in described] == [argument.name for argument in PROXY_ARGUMENTS]
    made = Proxy((BackendEntry("a", 1),))
    for (_, default), argument in zip(described[1:], PROXY_ARGUMENTS[1:], strict=True):
        value = getattr(made.options if argument.part else made, argument.field)
        if value in ("", HeaderEdits()):
            assert default == "none"
        else:
            text = f"{value:g}" if isinstance(value, float) else str(value)
            assert default == f"`{text}`", argument.name


def test_a_table_names_the_host_of_a_bad_rule() -> None:
    with pytest.raises(BadRule, match=r"'b\.example'") as caught:
        parse_rules({"a.example": ["unknown", {}, True], "b.example": ["unknown", {}]})
    assert caught.value.fault == "host_details_wrong_length"


def test_a_table_has_each_host_once() -> None:
    with pytest.raises(BadRule, match="second rule"):
        parse_rules({"a:1": ["unknown", {}, True], "A.": ["unknown", {}, True]})
    with pytest.raises(BadRule):
        parse_rules([])


def test_a_table_survives_json() -> None:
    rules = parse_rules({"A.example": ["spin", {}, True], "b": ["empty", {"code": "404"}, False]})
    assert parse_rules(json.loads(json.dumps(rules_to_json(rules)))) == rules
