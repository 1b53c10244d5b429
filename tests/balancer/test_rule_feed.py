from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from verdant.balancer.rule_feed import (
    Accept,
    Answer,
    Applied,
    Ask,
    Change,
    Counts,
    Drain,
    Follower,
    Hello,
    Snapshot,
    decode_for_supervisor,
    decode_for_worker,
    encode,
)

texts = st.dictionaries(st.sampled_from("abcd"), st.binary(max_size=3), max_size=3)
changes = st.lists(st.tuples(texts, st.lists(st.sampled_from("abcd"), max_size=2)), max_size=12)


def test_messages_come_through_as_they_are() -> None:
    for message in (Snapshot(3, True, False, {b"a": b"1"}), Change(4, {"a": b"x"}, ["b"]),
                    Accept(), Ask(1, "counts"), Drain(1.5, 0.0)):  # fmt: skip
        assert decode_for_worker(encode(message)) == message
    for said in (Hello(1), Applied(7), Counts({"a": (1, 2, 3, 4)}), Answer(1, b"x")):
        assert decode_for_supervisor(encode(said)) == said


def apply(rules: dict[str, bytes], change: Change) -> dict[str, bytes]:
    return {h: t for h, t in rules.items() if h not in change.deleted} | change.put


class Worker:
    """A follower, the rules that it leads to, and what they should be after each change."""

    def __init__(self, history: list[dict[str, bytes]]) -> None:
        self.follower = Follower()
        self.rules: dict[str, bytes] = {}
        self._history = history

    def hear(self, message: Snapshot | Change) -> bool:
        """Returns whether it wants a snapshot."""
        step = self.follower.take(message)
        if step.load is not None:
            self.rules = {host.decode(): text for host, text in step.load.items()}
        for change in step.changes:
            self.rules = apply(self.rules, change)
        if step.applied is not None:
            assert step.applied == self.follower.number
            assert self.rules == self._history[step.applied]
        return step.want

    def hear_snapshot(self, number: int) -> None:
        pieces = [{host.encode(): text} for host, text in self._history[number].items()] or [{}]
        for place, piece in enumerate(pieces):
            assert not self.hear(Snapshot(number, place == 0, place == len(pieces) - 1, piece))


@given(texts, changes, st.data())
def test_whatever_is_lost_or_comes_twice_a_follower_has_the_rules_of_its_number(
    first: dict[str, bytes], listed: list[tuple[dict[str, bytes], list[str]]], data: st.DataObject
) -> None:
    row = [Change(n, put, gone) for n, (put, gone) in enumerate(listed, 1)]
    history = [first]
    for change in row:
        history.append(apply(history[-1], change))
    worker = Worker(history)
    number = data.draw(st.integers(0, len(row)))
    for change in row[:number]:
        # Before the first snapshot nothing can be applied.
        assert not worker.hear(change)
    worker.hear_snapshot(number)
    while number < len(row):
        what = data.draw(st.sampled_from(["next", "again", "lost"]))
        if what == "again" and number:
            assert not worker.hear(row[number - 1])
            continue
        lost = what == "lost" and number + 1 < len(row)
        number += 1 + lost
        # A change that is lost shows at the one after it, and a snapshot mends it.
        assert worker.hear(row[number - 1]) == lost
        if lost:
            worker.hear_snapshot(number)
    assert worker.follower.number == number
    assert worker.rules == history[number]
