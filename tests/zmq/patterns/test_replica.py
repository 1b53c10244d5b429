"""Numbered changes: whatever is lost, repeated or late, the copy is a state that there was."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from verdant.zmq.errors import BadFrames
from verdant.zmq.patterns.clone_frames import (
    CHANGES,
    PART,
    Answer,
    Ask,
    answer_changes,
    decode_answer,
    decode_ask,
    decode_update,
    encode_answer,
    encode_ask,
    encode_beat,
    encode_update,
)
from verdant.zmq.patterns.replica import Change, History, Replica

_key = st.sampled_from([b"a", b"b", b"c"])
_value = st.none() | st.binary(max_size=3)
_edits = st.lists(st.tuples(_key, _value), max_size=30)


def states(edits: list[tuple[bytes, bytes | None]]) -> list[dict[bytes, bytes]]:
    """The state after each number of changes: what the model says."""
    found: list[dict[bytes, bytes]] = [{}]
    for key, value in edits:
        state = dict(found[-1])
        if value is None:
            state.pop(key, None)
        else:
            state[key] = value
        found.append(state)
    return found


@settings(deadline=None)
@given(_edits, st.data())
def test_lost_and_repeated_changes_never_show_a_state_that_was_not(
    edits: list[tuple[bytes, bytes | None]], data: st.DataObject
) -> None:
    wanted = states(edits)
    changes = [Change(7, number, *edit) for number, edit in enumerate(edits, 1)]
    replica = Replica()
    replica.load(7, 0, {})
    told: list[Change] = []
    arriving = data.draw(st.lists(st.sampled_from(changes), max_size=60)) if changes else []
    latest = 0
    for change in arriving:
        told += replica.offer(change)
        latest = max(latest, change.seq)
        assert replica.state == wanted[replica.seq]
        assert replica.behind == (replica.seq < latest)
    assert [change.seq for change in told] == list(range(1, replica.seq + 1))
    for change in changes:
        told += replica.offer(change)
    assert replica.state == wanted[-1]
    assert not replica.behind
    assert told == changes


@settings(deadline=None)
@given(_edits, st.integers(0, 30), st.integers(0, 12), st.integers(0, 60))
def test_history_has_all_after_a_number_or_says_so(
    edits: list[tuple[bytes, bytes | None]], since: int, count_max: int, bytes_max: int
) -> None:
    history = History(count_max, bytes_max)
    changes = [Change(7, number, *edit) for number, edit in enumerate(edits, 1)]
    for change in changes:
        history.add(change)
    found = history.since(since)
    if since > len(changes):
        assert found is None
    elif found is None:
        after = changes[since:]
        size = sum(len(change.key) + len(change.value or b"") for change in after)
        assert len(after) > count_max or size > bytes_max
    else:
        assert found == changes[since:]
        assert len(found) <= count_max or not found


@settings(deadline=None)
@given(_edits, st.integers(0, 30))
def test_a_snapshot_and_what_came_early_make_the_state(
    edits: list[tuple[bytes, bytes | None]], at: int
) -> None:
    at = min(at, len(edits))
    wanted = states(edits)
    replica = Replica()
    replica.load(1, 5, {b"a": b"of an earlier life", b"z": b"too"})
    for number, edit in enumerate(edits, 1):
        # Of a life whose snapshot we do not have yet.
        assert replica.offer(Change(2, number, *edit)) == []
    assert replica.behind == bool(edits)
    told = replica.load(2, at, wanted[at])
    assert replica.state == wanted[-1]
    assert (replica.epoch, replica.seq) == (2, len(edits))
    assert not replica.behind
    shown = {b"a": b"of an earlier life", b"z": b"too"}
    for change in told:
        if change.value is None:
            shown.pop(change.key, None)
        else:
            shown[change.key] = change.value
    assert shown == wanted[-1]


def test_an_old_snapshot_changes_nothing_and_a_beat_tells_of_a_loss() -> None:
    replica = Replica()
    seen = [replica.behind]
    replica.load(1, 3, {b"a": b"3"})
    assert replica.load(1, 2, {b"a": b"2"}) == []
    assert replica.state == {b"a": b"3"}
    for seq in (3, 4, 2):
        replica.hear(1, seq)
        seen.append(replica.behind)
    assert seen == [True, False, True, True]
    replica.offer(Change(1, 4, b"a", None))
    assert (replica.behind, replica.state) == (False, {})


_u64 = st.integers(0, 2**64 - 1)


@settings(deadline=None)
@given(st.builds(Change, _u64, _u64, st.binary(max_size=9), _value), _u64, _u64)
def test_frames_come_back_as_they_went(change: Change, epoch: int, seq: int) -> None:
    assert decode_update(encode_update(change)) == change
    assert decode_update(encode_beat(epoch, seq)) == (epoch, seq)
    for index in (None, 0, 7):
        ask = Ask(1, epoch, seq, index)
        assert decode_ask(encode_ask(ask)) == ask
    items = ((b"a", b""), (b"b", None), (b"c", b"+-"))
    for answer in (Answer(CHANGES, 1, epoch, 9, items=items), Answer(PART, 1, epoch, seq, 2, 3)):
        assert decode_answer(encode_answer(answer)) == answer
    first = Answer(CHANGES, 1, epoch, 9, items=items)
    assert [c.seq for c in answer_changes(first)] == [7, 8, 9]


_frame = st.binary(max_size=40) | st.just(b"VP1")


@settings(deadline=None)
@given(st.lists(_frame, max_size=6))
def test_any_frames_are_a_message_or_bad(frames: list[bytes]) -> None:
    for decode in (decode_update, decode_ask, decode_answer):
        try:
            decode(frames)
        except BadFrames:
            continue
        assert frames[0] == b"VP1"
