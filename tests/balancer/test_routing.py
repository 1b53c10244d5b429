from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verdant.balancer.errors import BadRule
from verdant.balancer.routing import NO_HOSTS, UNKNOWN, Changes, RuleTable
from verdant.balancer.rule_texts import text_of
from verdant.balancer.rules import Empty, Rule

labels = st.sampled_from(["a", "b", "c", "com"])
names = st.lists(labels, min_size=1, max_size=4).map(".".join)
keys = st.tuples(st.sampled_from(["", "", "http://", "https://"]), names).map("".join)
codes = st.integers(200, 203)


def rule(code: int, subdomains: bool = False) -> Rule:
    return Rule("empty", Empty(code), subdomains)


rules = st.builds(rule, codes, st.booleans())


def test_no_rules_and_no_match_are_told_apart() -> None:
    table = RuleTable()
    assert table.resolve(b"a.example") is NO_HOSTS
    table.set("b.example", rule(200))
    assert table.resolve(b"a.example") is UNKNOWN
    assert table.resolve(b"") is UNKNOWN


@pytest.mark.parametrize(
    "asked",
    [b"example.com", b"example.com:8080", b"EXAMPLE.com", b"example.com.", b"Example.Com.:80"],
)
@pytest.mark.parametrize("kept", ["example.com", "example.com:80", "EXAMPLE.com", "example.com."])
def test_port_case_and_closing_dot_make_no_difference(asked: bytes, kept: str) -> None:
    table = RuleTable({kept: rule(200)})
    assert table.resolve(asked) == (b"example.com", rule(200))
    assert table.get(kept.upper()) == rule(200)


def test_subdomains_match_where_the_rule_allows_them() -> None:
    table = RuleTable({"example.com": rule(200, True), "b.example.com": rule(201)})
    assert table.resolve(b"a.example.com") == (b"example.com", rule(200, True))
    assert table.resolve(b"b.example.com") == (b"b.example.com", rule(201))
    # The nearer rule takes no subdomains, so the farther one does.
    assert table.resolve(b"a.b.example.com")[0] == b"example.com"
    assert table.resolve(b"notexample.com") is UNKNOWN
    assert table.resolve(b"com") is UNKNOWN


def test_the_protocol_key_goes_first_at_each_step() -> None:
    table = RuleTable({"https://a.com": rule(200, True), "a.com": rule(201, True)})
    assert table.resolve(b"a.com", b"https")[0] == b"https://a.com"
    assert table.resolve(b"x.a.com", b"https")[0] == b"https://a.com"
    assert table.resolve(b"a.com", b"http")[0] == b"a.com"
    table.set("x.a.com", rule(202))
    assert table.resolve(b"x.a.com", b"https")[0] == b"x.a.com"
    table.delete("https://a.com")
    assert table.resolve(b"a.com", b"https")[0] == b"a.com"


def test_a_host_of_dots_or_of_any_length_ends_soon() -> None:
    table = RuleTable({"com": rule(200, True)})
    assert table.resolve(b"a." * 125 + b"com")[0] == b"com"
    assert table.resolve(b"a." * 100_000 + b"com") is UNKNOWN
    assert table.resolve(b"." * 253) is UNKNOWN


def test_text_can_be_resolved_too() -> None:
    table = RuleTable({"a.com": rule(200)})
    assert table.resolve_name("a.com") == (b"a.com", rule(200))
    assert table.resolve_name("\udc80") is UNKNOWN


def test_an_equal_rule_is_no_change() -> None:
    table = RuleTable()
    assert table.set("A.com", rule(200)) == Changes({"a.com": rule(200)})
    version = table.version
    before = table.resolve(b"a.com")
    assert not table.set("a.com", rule(200))
    assert not table.delete("b.com")
    assert not table.replace_all({"a.com": rule(200)})
    assert table.version == version
    assert table.resolve(b"a.com") is before


def test_replacing_all_tells_what_changed_and_keeps_the_rest() -> None:
    table = RuleTable({"a": rule(200), "b": rule(200), "https://c": rule(200)})
    kept = table.resolve(b"a")
    changes = table.replace_all({"a": rule(200), "b": rule(201), "d": rule(200)})
    assert changes == Changes({"b": rule(201), "d": rule(200)}, ("https://c",))
    assert table.resolve(b"a") is kept
    assert len(table) == 3


def test_a_bad_name_changes_nothing() -> None:
    table = RuleTable({"a": rule(200)})
    with pytest.raises(BadRule):
        table.replace_all({"b": rule(200), "no such": rule(200)})
    with pytest.raises(BadRule):
        table.set("", rule(200))
    assert dict(table) == {"a": rule(200)}


def slow_resolve(kept: dict[str, Rule], host: str, proto: str) -> str | None:
    parts = host.split(".")
    for cut in range(len(parts)):
        name = ".".join(parts[cut:])
        for key in (f"{proto}://{name}", name):
            if key in kept and (cut == 0 or kept[key].match_subdomains):
                return key
    return None


@given(
    st.lists(st.tuples(keys, st.none() | rules), max_size=12),
    names,
    st.sampled_from(["http", "https"]),
)
def test_the_table_is_a_dictionary_and_a_walk(
    steps: list[tuple[str, Rule | None]], host: str, proto: str
) -> None:
    table, model = RuleTable(), dict[str, Rule]()
    for key, new in steps:
        changed = model.get(key) != new
        assert bool(table.delete(key) if new is None else table.set(key, new)) == changed
        if new is None:
            model.pop(key, None)
        else:
            model[key] = new
    assert dict(table) == model
    key_found, found = table.resolve(host.encode(), proto.encode())
    expected = slow_resolve(model, host, proto)
    if expected is not None:
        assert (key_found.decode(), found) == (expected, model[expected])
    else:
        assert (key_found, found) == (UNKNOWN if model else NO_HOSTS)
    again = RuleTable()
    again.replace_all(model)
    assert again.resolve(host.encode(), proto.encode()) == (key_found, found)


@given(
    st.dictionaries(keys, st.integers(200, 220), max_size=6),
    st.lists(st.tuples(keys, st.integers(200, 220) | st.none()), max_size=8),
    st.lists(names, max_size=6),
)
def test_a_table_of_texts_answers_as_one_of_rules(
    first: dict[str, int], changes: list[tuple[str, int | None]], asked: list[str]
) -> None:
    rules = {host: Rule("empty", Empty(code), code % 2 == 0) for host, code in first.items()}
    plain, texts = RuleTable(rules), RuleTable()
    texts.load({host.encode(): text_of(rule) for host, rule in rules.items()})
    for host, code in changes:
        for name in asked:
            assert texts.resolve(name.encode()) == plain.resolve(name.encode())
        if code is None:
            plain.delete(host)
            texts.put_texts({}, (host,))
        else:
            rule = Rule("empty", Empty(code), code % 2 == 0)
            plain.set(host, rule)
            texts.put_texts({host: text_of(rule)})
        assert len(texts) == len(plain)
    for name in asked:
        assert texts.resolve(name.encode()) == plain.resolve(name.encode())
    assert dict(texts) == dict(plain)
