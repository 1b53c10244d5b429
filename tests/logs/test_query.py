"""The query language against real lines, and what it says of mistakes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verdant.logs import BadQuery, Record
from verdant.logs.codec import Batch, BatchId, compress
from verdant.logs.query import compile_condition, parse_query, parse_time
from verdant.logs.record import encode_line
from verdant.logs.store import Scan, Store, scan

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LINES = [
    Record(1, "web", "h1", "INFO", "GET / 200", {"status": 200, "user": {"name": "ada"}}),
    Record(2, "web", "h2", "ERROR", "Connection refused", {"status": 502}),
    Record(3, "db", "h1", "WARNING", "slow query timed-out", {"status": "500"}),
    Record(4, "db", "h2", "DEBUG", 'it\'s fine "really"', {}),
]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    directory: Path = tmp_path_factory.mktemp("store")
    made = Store(directory)
    body = compress(b"".join(map(encode_line, LINES)))
    made.append([Batch(BatchId("c", 1, 0), len(LINES), body)])
    yield made
    made.close()


@pytest.mark.parametrize(
    ("text", "times"),
    [
        ("", [1, 2, 3, 4]),
        ("app=web", [1, 2]),
        ("app!=web", [3, 4]),
        ("level>=warning", [2, 3]),
        ("level=error", [2]),
        ('"connection refused"', [2]),
        ("/time(d|-)-?out/", [3]),
        ("status>=500", [2, 3]),
        ("status!=200", [2, 3, 4]),
        ("-app=web", [3, 4]),
        ("user.name=ada", [1]),
        ("it's", [4]),
        (r'"\"really\""', [4]),
        ("msg=~/^GET/", [1]),
        ("app=web host=h2 refused", [2]),
        ("app=nothing", []),
    ],
)
def test_queries_find_what_they_say(store: Store, text: str, times: list[int]) -> None:
    condition, parameters = compile_condition(parse_query(text))
    rows = scan(store, Scan(condition, tuple(parameters), order="oldest"))
    assert [row[0] for row in rows] == times


@pytest.mark.parametrize(
    ("text", "position"),
    [
        ('app=web "open', 8),
        ("a | b", 2),
        ("limit=0", 0),
        ("x since>1h", 2),
        ("/(/", 0),
        ("level>loud", 0),
    ],
)
def test_mistakes_are_pointed_at(text: str, position: int) -> None:
    with pytest.raises(BadQuery) as caught:
        compile_condition(parse_query(text))
    assert caught.value.position == position


@given(st.text(max_size=60))
def test_any_text_is_a_query_or_a_mistake(text: str) -> None:
    position = 0
    try:
        compile_condition(parse_query(text))
    except BadQuery as exc:
        position = exc.position
    assert 0 <= position <= len(text)


def test_times() -> None:
    now = 1_800_000_000_000_000_000
    assert parse_time("90s", now) == now - 90_000_000_000
    assert parse_time("2h", now) == now - 7_200_000_000_000
    assert parse_time("1764000000", now) == 1_764_000_000_000_000_000
    assert parse_time("2026-01-01T00:00+00:00", now) == 1_767_225_600_000_000_000
    with pytest.raises(BadQuery):
        parse_time("yesterday", now)
