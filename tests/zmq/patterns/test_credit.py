"""Credit: never more than the window, never stuck, whatever the two sides' pace."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from verdant.zmq.errors import BadFrames
from verdant.zmq.patterns.credit import CREDIT_MAX, Credit, Window
from verdant.zmq.patterns.stream_frames import (
    CANCEL,
    CHUNK,
    OPEN,
    StreamMessage,
    decode_stream,
    encode_stream,
)


@settings(deadline=None)
@given(st.integers(1, 20), st.integers(0, 60), st.data())
def test_a_window_is_never_overrun_and_all_chunks_come(
    size: int, total: int, data: st.DataObject
) -> None:
    window, credit = Window(size), Credit(size)
    on_the_way: list[int] = []
    grants: list[int] = []
    waiting = sent = taken = 0
    while taken < total:
        moves = []
        if credit.left and sent < total:
            moves.append("send")
        if on_the_way:
            moves.append("arrive")
        if waiting:
            moves.append("take")
        if grants:
            moves.append("grant")
        # Something can always go on: that is the promise.
        move = data.draw(st.sampled_from(moves))
        if move == "send":
            credit.spend()
            on_the_way.append(sent)
            sent += 1
        elif move == "arrive":
            window.arrive(on_the_way.pop(0))
            waiting += 1
        elif move == "take":
            waiting -= 1
            taken += 1
            if count := window.take():
                grants.append(count)
        else:
            credit.grant(grants.pop(0))
        assert credit.left + len(on_the_way) + waiting + sum(grants) <= size


def test_a_peer_that_breaks_the_rules_is_told() -> None:
    window = Window(2)
    window.arrive(0)
    with pytest.raises(BadFrames, match="where 1 is next"):
        window.arrive(2)
    window.arrive(1)
    with pytest.raises(BadFrames, match="more than it was granted"):
        window.arrive(2)
    credit = Credit(CREDIT_MAX)
    with pytest.raises(BadFrames, match="credit"):
        credit.grant(1)
    with pytest.raises(BadFrames, match="credit"):
        credit.grant(-1)
    for size in (0, CREDIT_MAX + 1):
        with pytest.raises(ValueError, match="window"):
            Window(size)


@settings(deadline=None)
@given(st.lists(st.binary(max_size=20) | st.just(b"VS1"), max_size=5), st.booleans())
def test_any_frames_are_a_message_or_bad(frames: list[bytes], to_producer: bool) -> None:
    try:
        message = decode_stream(frames, to_producer=to_producer)
    except BadFrames:
        return
    assert encode_stream(message) == frames


def test_messages_go_one_way_alone() -> None:
    for kind, to_producer in ((OPEN, True), (CANCEL, True), (CHUNK, False)):
        message = StreamMessage(kind, 3, 4, b"x")
        assert decode_stream(encode_stream(message), to_producer=to_producer) == message
        with pytest.raises(BadFrames, match="this way"):
            decode_stream(encode_stream(message), to_producer=not to_producer)
