"""The query language: what it finds, by a judge of its own, in the tail and in segments alike."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from logs.lines import MSG, NOW_NS, count, find, pack

from verdant.logs import BadQuery, Record
from verdant.logs.query import make_plan, parse_query, parse_span, parse_time, pointed_at
from verdant.logs.query.tree import And, Compare, Not, Or, Pattern, Text
from verdant.logs.record import LEVELS, level_number
from verdant.logs.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from verdant.logs.query import Order
    from verdant.logs.query.tree import Node

LINES = [
    Record(1, "web", "h1", "INFO", "GET / 200", {"status": 200, "user": {"name": "ada"}}),
    Record(2, "web", "h2", "ERROR", "Connection refused", {"status": 502, "dur": 1.5}),
    Record(3, "db", "h1", "WARNING", "slow query timed-out", {"status": "500", "dur": 20}),
    Record(4, "db", "h2", "DEBUG", 'it\'s fine "really"', {}),
    Record(5, "web", "h1", "NOTICE", "GET /caf\u00e9 404", {"status": 404, "http.code": 404}),
    Record(6, "w_b", "h%", "ERROR", "100% of 5_000\\n", {"status": None, "dur": "fast"}),
    Record(7, "web", "h1", "INFO", "CONNECTION REFUSED again", {"status": "ok", "dur": -3}),
    Record(7, "db", "h3", "EMERG", "", {"dur": 1e3, "tags": ["a", "b"], "on": True}),
    Record(NOW_NS - 10**9, "db", "h3", "INFO", "a second ago: GET /", {"status": 200}),
]


def make_store(directory: Path, seals: tuple[int, ...]) -> Store:
    """The lines, a batch each, sealed behind those batches."""
    made = Store(directory)
    for seq, line in enumerate(LINES):
        made.append([pack([line], seq)])
        if seq in seals:
            made.seal()
    return made


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Store]]:
    """The same lines unsealed, in segments, and half of each."""
    made = [
        make_store(tmp_path_factory.mktemp("store"), seals) for seals in ((), (1, 2, 5, 8), (0, 4))
    ]
    yield made
    for store in made:
        store.close()


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("app=web", [0, 1, 4, 6]),
        ("app!=web", [2, 3, 5, 7, 8]),
        ("app=w*", [0, 1, 4, 5, 6]),
        ("app=w_b", [5]),
        ("host=h%", [5]),
        ("level>=warning", [1, 2, 5, 7]),
        ("level=error", [1, 5]),
        ('"connection refused"', [1, 6]),
        ("/time(d|-)-?out/", [2]),
        ("status>=500", [1, 2]),
        ("status!=200", [1, 2, 3, 4, 5, 6, 7]),
        ("status=*", [0, 1, 2, 4, 6, 8]),
        ("-status=*", [3, 5, 7]),
        ("dur<0", [6]),
        ("dur=fast", [5]),
        ("not app=web", [2, 3, 5, 7, 8]),
        ("user.name=ada", [0]),
        ("http.code=404", [4]),
        ("on=true", [7]),
        ("it's", [3]),
        (r'"\"really\""', [3]),
        ("msg=~/^GET/", [0, 4]),
        ("app!~/^w/", [2, 3, 7, 8]),
        ("app=web host=h2 refused", [1]),
        ("app=web (refused or 404) -again", [1, 4]),
        ("slow or fine", [2, 3]),
        ("slow or fine and app=web", [2]),
        ("100%", [5]),
        ("since=2s", [8]),
        ("until=1h app=db", [2, 3, 7]),
        ("time=2s..now", [8]),
        ("app=nothing", []),
    ],
)
def test_queries_find_what_they_say(stores: list[Store], text: str, found: list[int]) -> None:
    for store in stores:
        rows = find(store, text, order="oldest")
        assert sorted(int(str(row[9])) for row in rows) == found


# What may stand in a query, so that most of what is made is one.
TERMS = st.sampled_from(
    [
        *("app=web", "app=d*", "host!=h1", "level>=error", "level<info", "refused", "GET", '"/"'),
        *("status=200", "status>=404", "status!=500", "status=ok", "dur<=20", "dur>a", "dur=*"),
        *("user.name=ada", "http.code=404", "/^.ON/", "/caf\u00e9/", "msg=of", "on=true", '""'),
    ]
)


def _combined(terms: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(
        st.tuples(terms, terms).map(" ".join),
        st.tuples(terms, terms).map(" or ".join),
        terms.map(lambda term: f"-({term})"),
        terms.map(lambda term: f"not ({term})"),
        terms.map(lambda term: f"({term})"),
    )


QUERIES = st.recursive(TERMS, _combined, max_leaves=6)


@settings(max_examples=60, deadline=None)
@given(QUERIES)
def test_tail_and_segments_give_what_the_judge_says(stores: list[Store], text: str) -> None:
    where = parse_query(text).where
    wanted = [n for n, line in enumerate(LINES) if where is None or holds(where, line)]
    # Two lines of one time are in the order of their batches.
    orders: tuple[Order, ...] = ("oldest", "newest")
    for order in orders:
        answers = [
            [row[:1] + row[2:-1] for row in find(store, text, order=order)] for store in stores
        ]
        # But for when they came, which differs from store to store.
        assert all(answer == answers[0] for answer in answers)
        expected = wanted if order == "oldest" else wanted[::-1]
        assert [int(str(row[8])) for row in answers[0]] == expected


def holds(node: Node, line: Record) -> bool:
    """The judge: what a tree means, said once more in plain Python."""
    match node:
        case And(items):
            return all(holds(item, line) for item in items)
        case Or(items):
            return any(holds(item, line) for item in items)
        case Not(item):
            return not holds(item, line)
        case Text(value):
            return value.lower() in line.message.lower()
        case Pattern(name, pattern):
            text = value_of(line, name or "msg")
            return text is not None and re.search(pattern, text) is not None
        case Compare(name, operator, value, _, wild):
            return compares(value_of(line, name), name, operator, value, wild=wild)


def compares(text: str | None, name: str, operator: str, value: str, *, wild: bool) -> bool:
    if operator == "!=":
        return not compares(text, name, "=", value, wild=wild)
    if text is None:
        return False
    if wild:
        return re.fullmatch(".*".join(map(re.escape, value.split("*"))), text) is not None
    if name == "msg":
        return value.lower() in text.lower()
    left: object = text
    right: object = value
    if name == "level" and operator != "=":
        left, right = level_number(text), LEVELS[value.upper()]
    elif name == "level":
        right = value.upper()
    elif re.fullmatch(r"-?[0-9.]+", value) and name not in ("app", "host"):
        if not re.fullmatch(r"-?[0-9.]+", text):
            return False
        left, right = float(text), float(value)
    results: dict[str, bool] = {
        "=": left == right,
        "<": left < right,  # type: ignore[operator]
        "<=": left <= right,  # type: ignore[operator]
        ">": left > right,  # type: ignore[operator]
        ">=": left >= right,  # type: ignore[operator]
    }
    return results[operator]


def value_of(line: Record, name: str) -> str | None:
    if name in ("app", "host", "level"):
        return str(getattr(line, name))
    if name == "msg":
        return line.message
    found: object = line.fields.get(name)
    if found is None:
        found = line.fields
        for step in name.split("."):
            found = found.get(step) if isinstance(found, dict) else None
    return found if found is None or isinstance(found, str) else json.dumps(found)


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("| count", [(9,)]),
        ("app=nothing | count", [(0,)]),
        ("| count by app", [("db", 4), ("web", 4), ("w_b", 1)]),
        ("| count by app, host | head 2", [("web", "h1", 3), ("db", "h3", 2)]),
        ("| top 1 status", [("200", 2)]),
        ("until=1h | count by 1h, level | sort -count, level | head 2",
         [(0, "INFO", 2), (0, "ERROR", 2)]),
        ("until=1h | count by 1h, level | fields level | head 1", [("DEBUG",)]),
        ("| p50,p99 dur", [(1.5, 1000.0)]),
        ("| percentile 0,100 dur by app | sort app", [("db", 20.0, 1000.0), ("web", -3.0, 1.5)]),
        ("refused | histogram 1h", [(0, 2)]),
    ],
)  # fmt: skip
def test_stages_count_what_they_say(
    stores: list[Store], text: str, rows: list[tuple[object, ...]]
) -> None:
    for store in stores:
        assert count(store, text).rows == rows


def test_a_histogram_shows_empty_stretches(stores: list[Store]) -> None:
    table = count(stores[0], "time=10s..now | histogram 2s")
    assert table.columns == ("time", "count")
    assert [rows for _, rows in table.rows] == [0, 0, 0, 0, 1]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("| sort dur | head 3", [6, 1, 2]),
        ("| sort -dur | head 3", [7, 2, 1]),
        ("| sort -level | head 1", [7]),
        ("app=web | sort host, -status", [6, 4, 0, 1]),
    ],
)
def test_lines_are_sorted_before_they_are_cut(
    stores: list[Store], text: str, found: list[int]
) -> None:
    for store in stores:
        rows = find(store, text, order="oldest")
        if "host" in text:
            # Numbers come before text in both directions.
            found = [4, 0, 6, 1]
        assert [int(str(row[9])) for row in rows] == found


def test_limits_and_orders(stores: list[Store]) -> None:
    for store in stores:
        assert [row[MSG] for row in find(store, "GET", 1)] == [LINES[8].message]
        assert [row[MSG] for row in find(store, "GET", 1, "oldest")] == [LINES[0].message]
        assert len(find(store, "limit=2")) == 2
        assert len(find(store, "| head 3")) == 3


@pytest.mark.parametrize(
    ("text", "position", "said"),
    [
        ('app=web "open', 8, 'expected another " further on'),
        ("a | b", 4, "expected one of count"),
        ("limit=0", 6, "expected a number from 1"),
        ("x since>1h", 7, "expected ="),
        ("since=soon", 6, "expected 15m"),
        ("since=1h until=2h", 15, "expected a time behind"),
        ("/(/", 0, "expected a pattern that RE2 can read"),
        (r"/(a)\1/", 0, "expected a pattern that RE2 can read"),
        ("/a", 0, "expected a / further on"),
        ("level>loud", 6, "expected one of trace"),
        ("(a", 0, "expected a ) further on"),
        ("a )", 2, "expected a term, | or end"),
        ("()", 0, "expected a term between the brackets"),
        ("or a", 0, "expected a term before"),
        ("a or", 4, "expected a term behind"),
        ("-", 1, "expected a term to deny"),
        ("(a since=1h)", 3, "expected it outside of brackets"),
        ("since=1h since=2h", 15, "expected it once"),
        ("status=", 7, "expected a value"),
        ("status>5*", 7, "= and != only"),
        ('a"b"', 1, "expected one here"),
        ("time=1h", 5, "expected FROM..TO"),
        ("a | count foo", 10, "expected `by`"),
        ("a | count by", 12, "expected a field's name"),
        ("a | top x y", 8, "expected a number from 1"),
        ("a | count | sort foo", 17, "expected one of count"),
        ("a | head 1 | count", 13, "expected head, sort or fields"),
        ("a | histogram 5x", 14, "expected a span of time"),
        ("a | p50,q9 dur", 8, "expected pN"),
        ("a | count by 1m, 2m", 19, "expected a field"),
    ],
)
def test_mistakes_are_pointed_at(text: str, position: int, said: str) -> None:
    with pytest.raises(BadQuery) as caught:
        make_plan(text, NOW_NS)
    assert said in str(caught.value)
    assert caught.value.position == position
    assert pointed_at(text, position).splitlines()[1].index("^") == position


@given(st.text(max_size=60) | st.text('ab=<>!~-()|"/ ,.*15mhp\\', max_size=40))
def test_any_text_is_a_query_or_a_mistake(text: str) -> None:
    position = 0
    try:
        make_plan(text, NOW_NS)
    except BadQuery as exc:
        position = exc.position
    assert 0 <= position <= len(text)


def test_a_pattern_that_is_evil_elsewhere_costs_nothing(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.append([pack([Record(1, "a", "h", "INFO", "a" * 5000)], 0)])
    # With backtracking this would outlive the universe.
    assert find(store, "/^(a+)+b$/") == []
    store.close()


def test_times() -> None:
    now = NOW_NS
    assert parse_time("90s", now) == now - 90_000_000_000
    assert parse_time("2h", now) == now - 7_200_000_000_000
    assert parse_time("now", now) == now
    assert parse_time("1764000000", now) == 1_764_000_000_000_000_000
    assert parse_time("1764000000.000000001", now) == 1_764_000_000_000_000_001
    assert parse_time("2026-01-01T00:00+00:00", now) == 1_767_225_600_000_000_000
    with pytest.raises(BadQuery):
        parse_time("yesterday", now)
    assert parse_span("1m") == 60_000_000_000
    for text in ("0s", "1", "1y", "999999999w"):
        with pytest.raises(BadQuery):
            parse_span(text)
