"""Merging: any order of arrival gives one order, each line once."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from verdant.logs import BadQuery, Row
from verdant.logs.client.merging import Merging
from verdant.logs.client.pages import decode_page, encode_page

SOURCES = "abc"


def row(t: int, seq: int) -> Row:
    return Row(t, 0, "app", "host", "INFO", "m", "{}", "c", 1, seq, 0, 0)


ROWS = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 3)), max_size=12)


@given(st.dictionaries(st.sampled_from(SOURCES), ROWS), st.booleans(), st.data())
def test_all_lines_come_once_in_order(
    parts: dict[str, list[tuple[int, int]]], is_newest: bool, data: st.DataObject
) -> None:
    left = {
        source: sorted({row(*each).place: row(*each) for each in part}.values(),
                       key=lambda each: each.place, reverse=is_newest)
        for source, part in parts.items()
    }  # fmt: skip
    expected = sorted({each.place for part in left.values() for each in part}, reverse=is_newest)
    merging = Merging(left, is_newest=is_newest)
    found: list[Row] = []
    while merging.open:
        source = data.draw(st.sampled_from(sorted(left)))
        count = data.draw(st.integers(1, 4))
        some, left[source] = left[source][:count], left[source][count:]
        if left[source]:
            merging.add(source, some, left[source][0].t if data.draw(st.booleans()) else None)
        else:
            merging.add(source, some, None)
            merging.finish(source)
            del left[source]
        found += merging.take()
    assert [each.place for each in found] == expected


def test_a_line_waits_for_no_server_that_is_past_it() -> None:
    merging = Merging("ab", is_newest=True)
    merging.add("a", [row(9, 1), row(5, 2)], None)
    assert merging.take() == []
    merging.add("b", [], 7)
    assert [each.t for each in merging.take()] == [9]
    merging.finish("b")
    # Of the same time as the last that "a" brought there may be another.
    assert merging.take() == []
    merging.finish("a")
    assert [each.t for each in merging.take()] == [5]


@given(st.integers(-(2**62), 2**62), st.integers(0, 2**62))
def test_a_page_is_given_back(t: int, now_ns: int) -> None:
    assert decode_page(encode_page(row(t, 3), now_ns)) == (row(t, 3).place, now_ns)


@given(st.text(max_size=30))
def test_any_text_is_a_page_or_a_mistake(text: str) -> None:
    try:
        decode_page(text)
    except BadQuery:
        return
