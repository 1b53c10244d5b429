"""Envelopes: whatever the frames, answers carry the question's way back, and nothing is guessed."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from verdant.zmq import envelope as e
from verdant.zmq.failover import Attempt, Standing, choose, tell_failure

hops = st.lists(st.binary(min_size=1, max_size=20), min_size=1, max_size=4)
bodies = st.lists(st.binary(max_size=20), max_size=4)
tag_numbers = st.binary(min_size=8, max_size=8)


@given(hops, bodies)
def test_a_message_is_split_at_its_first_empty_frame(
    envelope: list[bytes], body: list[bytes]
) -> None:
    parts = [*envelope, b"", *body]
    end = e.split(parts)
    assert (parts[:end], parts[end + 1 :]) == (envelope, body)
    assert e.split(envelope) == -1


@given(hops, tag_numbers, bodies)
def test_an_answer_bears_its_calls_number(
    envelope: list[bytes], number: bytes, body: list[bytes]
) -> None:
    asked = [*envelope, e.make_tag(e.CALL, number)]
    answer = e.answer_parts(asked, body)
    assert answer == [*envelope, e.make_tag(e.ANSWER, number), b"", *body]
    assert e.read_tag(answer[len(envelope)]) == e.Tag(e.ANSWER, number)


@given(hops, bodies)
def test_a_plain_clients_envelope_comes_back_as_it_was(
    envelope: list[bytes], body: list[bytes]
) -> None:
    if e.kind_of(envelope[-1]) is None:
        assert e.answer_parts(envelope, body) == [*envelope, b"", *body]
        error = e.error_parts(envelope, e.ERROR, "code", "text")
        assert error == [*envelope, b"", e.ERROR_MARK, b"code", b"text"]


@given(st.text(st.characters(), max_size=6000))
def test_an_errors_text_is_bounded_and_whole_characters(text: str) -> None:
    tag = e.make_tag(e.CALL, bytes(8))
    frames = e.error_parts([b"peer", tag], e.ERROR, "code", text)
    assert frames[:4] == [b"peer", e.make_tag(e.ERROR, bytes(8)), b"", b"code"]
    assert len(frames[4]) <= e.ERROR_TEXT_BYTES_MAX
    frames[4].decode()


@given(st.binary(max_size=20))
def test_only_a_tag_is_a_tag(frame: bytes) -> None:
    assert (e.read_tag(frame) is not None) == (len(frame) == 13 and frame[:4] == b"\0VZ\x01")


def test_numbers_go_round_and_never_repeat_on_the_way() -> None:
    numbers = e.numbers(2**64 - 1)
    assert [next(numbers), next(numbers)] == [b"\xff" * 8, bytes(8)]


standings = st.lists(
    st.builds(
        Standing,
        endpoint=st.sampled_from(["a", "b", "c", "d"]),
        up=st.booleans(),
        connection=st.integers(0, 2),
        under_way=st.integers(0, 3),
    ),
    max_size=4,
    unique_by=lambda standing: standing.endpoint,
)
asked = st.lists(
    st.builds(
        Attempt,
        endpoint=st.sampled_from(["a", "b", "c", "d"]),
        connection=st.integers(0, 2),
        sent_at=st.just(0.0),
    ),
    max_size=4,
)


@given(standings, asked, st.integers(0, 2**64))
def test_the_next_server_is_up_not_asked_and_the_least_busy(
    servers: list[Standing], attempts: list[Attempt], turn: int
) -> None:
    before = {(attempt.endpoint, attempt.connection) for attempt in attempts}
    open_to_us = [s for s in servers if s.up and (s.endpoint, s.connection) not in before]
    place = choose(servers, attempts, turn)
    if place is None:
        assert not open_to_us
    else:
        assert servers[place] in open_to_us
        assert servers[place].under_way == min(s.under_way for s in open_to_us)


def test_equal_servers_take_turns() -> None:
    servers = [Standing(name, up=True, connection=0, under_way=0) for name in "abc"]
    assert [choose(servers, [], turn) for turn in range(6)] == [0, 1, 2, 0, 1, 2]


def test_a_failure_names_every_server_and_its_part() -> None:
    lost = Attempt("tcp://a", 1, sent_at=10.0)
    lost.settle("was lost", 10.5)
    servers = [
        Standing("tcp://a", up=False, connection=1, under_way=0, trouble="was lost"),
        Standing("tcp://b", up=True, connection=1, under_way=0),
        Standing("tcp://c", up=False, connection=0, under_way=0),
    ]
    assert tell_failure("why", [lost, Attempt("tcp://b", 1, 11.0)], servers, 12.0) == (
        "no answer: why; the call may have been run; tcp://a was lost, 0.50 s after it was asked; "
        "tcp://b has not answered, 1.00 s after it was asked; tcp://c was never connected"
    )
    lost.settle("did not begin it", 10.5, maybe_run=False)
    assert "was not run" in tell_failure("why", [lost], servers, 12.0)
