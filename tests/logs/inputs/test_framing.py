"""Framing: the same messages however the bytes are cut; limits cut, and are told."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verdant.logs.errors import BadInput
from verdant.logs.inputs.framing import Framer, Message
from verdant.logs.inputs.relp import Frame, RelpParser, accepted, goodbye, opened, refused


def feed_in_pieces(framer: Framer, data: bytes, cuts: list[int]) -> list[Message]:
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    found: list[Message] = []
    for start, end in itertools.pairwise(places):
        found += framer.feed(data[start:end])
    return found + framer.finish()


_text = st.binary(min_size=1, max_size=40).map(lambda b: b"<" + b.replace(b"\n", b"."))


@given(st.lists(st.tuples(_text, st.booleans()), max_size=8), st.lists(st.integers(0, 500)))
def test_counted_and_lined_messages_on_one_stream(
    messages: list[tuple[bytes, bool]], cuts: list[int]
) -> None:
    data = b"".join(
        b"%d %s" % (len(text), text) if counted else text + b"\n" for text, counted in messages
    )
    found = feed_in_pieces(Framer(100, counted=True), data, cuts)
    assert found == [Message(text) for text, _ in messages]


@given(st.lists(st.integers(0, 500)), st.booleans())
def test_what_is_over_the_limit_is_cut_and_the_next_is_whole(
    cuts: list[int], counted: bool
) -> None:
    long, short = b"<" + b"x" * 299, b"<ok"
    data = b"300 " + long + b"3 " + short if counted else long + b"\n" + short + b"\n"
    found = feed_in_pieces(Framer(50, counted=True), data, cuts)
    assert found == [Message(long[:50], 250), Message(short)]


def test_memory_stays_at_the_limit() -> None:
    framer = Framer(1000)
    for _ in range(100):
        assert framer.feed(b"x" * 1000) == []
        assert len(framer._rest) <= 1000
    assert framer.finish() == [Message(b"x" * 1000, 99_000)]


@pytest.mark.parametrize("data", [b"12x <13>", b"0 <13>", b"12345678901 <", b"99999999999999"])
def test_a_length_that_is_none_ends_the_stream(data: bytes) -> None:
    with pytest.raises(BadInput):
        Framer(100, counted=True).feed(data)


@given(st.binary(max_size=300), st.lists(st.integers(0, 300)))
def test_any_bytes_give_messages_or_a_bad_input(data: bytes, cuts: list[int]) -> None:
    try:
        found = feed_in_pieces(Framer(50, counted=True), data, cuts)
    except BadInput:
        return
    assert all(len(message.data) <= 50 for message in found)


_frame = st.builds(
    Frame,
    st.integers(0, 999_999_999),
    st.sampled_from(["syslog", "open", "close"]),
    st.binary(max_size=50),
)


@given(st.lists(_frame, max_size=6), st.lists(st.integers(0, 500)), st.booleans())
def test_relp_frames_however_cut(frames: list[Frame], cuts: list[int], bare: bool) -> None:
    data = b"".join(
        b"%d %s 0\n" % (frame.number, frame.command.encode())
        if bare and not frame.data
        else b"%d %s %d %s\n" % (frame.number, frame.command.encode(), len(frame.data), frame.data)
        for frame in frames
    )
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    parser, found = RelpParser(100), []
    for start, end in itertools.pairwise(places):
        found += parser.feed(data[start:end])
    assert found == frames


@pytest.mark.parametrize(
    "data", [b"x", b"1 sys1og 2 ab\n", b"1 syslog 5 abc\ndX", b"1 syslog 101 ", b"1  syslog 1 a\n"]
)
def test_what_is_no_relp_raises(data: bytes) -> None:
    with pytest.raises(BadInput):
        RelpParser(100).feed(data)


def test_relp_answers_are_frames_themselves() -> None:
    for answer in (opened(1), accepted(2), refused(3, "a\nb")):
        (frame,) = RelpParser(1000).feed(answer)
        assert frame.command == "rsp"
    assert [f.command for f in RelpParser(9).feed(goodbye(4))] == ["rsp", "serverclose"]
