"""Grams never hide a line; they do hide segments that have none."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st
from logs.lines import find, pack

from verdant.logs import Record
from verdant.logs.query import make_plan
from verdant.logs.query.skipping import literal_of
from verdant.logs.store import Store
from verdant.logs.store.grams import build_grams, check_grams, may_contain

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

# Letters whose lower case is in ASCII, or is two, are the ones that could be missed.
LETTERS = st.text("abCD \u0130\u212a\u00df\u00e9\ud7ff0", max_size=20)


@settings(deadline=None, max_examples=50)
@given(st.lists(LETTERS, min_size=1, max_size=6), st.data())
def test_no_text_of_a_message_is_denied(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str], data: st.DataObject
) -> None:
    path = tmp_path_factory.getbasetemp() / "x.grams"
    path.write_bytes(build_grams(pa.chunked_array([pa.array(texts, pa.string())])))
    assert check_grams(path) is None
    for text in texts:
        start = data.draw(st.integers(0, len(text)))
        end = data.draw(st.integers(start, len(text)))
        for asked in (text[start:end], text[start:end].upper(), text[start:end].lower()):
            if asked.lower() in text.lower():
                assert may_contain(path, asked)


def test_strange_text_is_denied_and_a_damaged_file_denies_nothing(tmp_path: Path) -> None:
    path = tmp_path / "x.grams"
    messages = [f"GET /page/{number} 200" for number in range(1000)]
    path.write_bytes(build_grams(pa.chunked_array([pa.array(messages)])))
    assert may_contain(path, "get /PAGE/99")
    assert not may_contain(path, "connection refused")
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    assert may_contain(path, "connection refused")
    assert check_grams(path) is not None
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert check_grams(path) is not None
    path.unlink()
    assert may_contain(path, "connection refused")


@given(st.text("ab.+^$c", min_size=1, max_size=8), st.text("abc", max_size=12))
def test_a_patterns_literal_is_in_all_that_it_finds(pattern: str, text: str) -> None:
    import re

    try:
        found = re.search(pattern, text)
    except re.error:
        return
    if found is not None:
        assert literal_of(pattern) in text


def test_segments_that_cannot_match_are_not_opened(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for seq, (app, text) in enumerate([("web", "GET /alpha"), ("db", "beta query"), ("web", "x")]):
        store.append([pack([Record(seq, app, "h", "INFO", text)], seq)])
        store.seal()

    def opened(text: str) -> list[int]:
        plan = make_plan(text, 0)
        return [n for n, segment in enumerate(store.segments) if segment.may_have(plan)]

    assert opened("") == [0, 1, 2]
    assert opened("alpha") == [0]
    assert opened("app=db") == [1]
    assert opened("-app=db") == [0, 1, 2]
    assert opened("alpha or query") == [0, 1]
    assert opened("/be.a query/") == [1]
    assert opened("time=1970-01-01T00:00Z..1970-01-01T00:00:01Z beta") == [1]
    assert len(find(store, "alpha or query")) == 2
    store.close()
