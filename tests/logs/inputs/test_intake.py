"""The intake, over a real store: stored means on disk, and what was turned away is told."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from verdant.core import spawn
from verdant.logs import NotStored, Record
from verdant.logs.inputs.intake import Intake
from verdant.logs.store import Scan, Store, scan

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from verdant.logs.codec import Batch, Status


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store(tmp_path)
    yield opened
    opened.close()


def intake_of(store: Store) -> Intake:
    def commit(batch: Batch) -> tuple[Status, str]:
        return store.append([batch])[0]

    return Intake(commit, "test")


def record(text: str, fields: dict[str, object] | None = None) -> Record:
    return Record(1, "a", "h", "INFO", text, fields or {})


def messages(store: Store) -> list[str]:
    return [str(row[5]) for row in scan(store, Scan(limit=50_000))]


def test_many_and_long_records_go_into_batches_that_the_store_takes(store: Store) -> None:
    intake = intake_of(store)
    many = [record(str(number)) for number in range(25_000)]
    long = [record("\x01" * 300_000, {"x": '"' * 100_000}) for _ in range(5)]
    intake.store([*many, *long])
    assert intake.counts.stored == 25_005
    assert len(messages(store)) == 25_005


_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=6,
)
_records = st.builds(
    Record,
    st.integers(-(2**70), 2**70) | st.integers(0, 2**62),
    st.text(max_size=8),
    st.text(max_size=8),
    st.text(max_size=8),
    st.text(max_size=40),
    st.dictionaries(st.text(max_size=5), _values, max_size=3),
)


@given(records=st.lists(_records, min_size=1, max_size=20))
@settings(
    max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
def test_the_store_takes_whatever_a_record_says(store: Store, records: list[Record]) -> None:
    """One line that the store refused would have its whole batch refused, again and again."""
    intake = intake_of(store)
    intake.store(records)
    assert intake.counts.stored == len(records)


def test_a_disk_that_refuses_is_told_and_the_lines_are_welcome_later(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    intake = intake_of(store)

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fdatasync", full)
        with pytest.raises(NotStored, match="disk is full"):
            intake.store([record("one")])
        assert intake.offer(record("two"))
        assert not intake._flush()
    assert intake.counts.busy == 1
    assert messages(store) == []
    intake.store([record("one")])
    intake.stop()
    # Its own line: how many had to be sent again.
    assert sorted(messages(store)) == ["one", "turned away: 1 busy", "two"]


def test_what_was_turned_away_is_told_once(store: Store) -> None:
    intake = intake_of(store)
    intake.counts.malformed += 2
    intake.counts.oversized += 1
    intake.tell()
    intake.tell()
    intake.counts.malformed += 1
    intake.stop()
    assert sorted(messages(store)) == [
        "turned away: 1 malformed",
        "turned away: 2 malformed, 1 oversized",
    ]


def test_offered_lines_are_bounded_and_counted(store: Store) -> None:
    intake = intake_of(store)
    big = record("x" * 250_000)
    while intake.offer(big):
        assert intake.counts.dropped == 0
    assert intake.counts.dropped == 1
    # One that may wait does, until the gatherer makes room.
    waiting = spawn(intake.put, big)
    intake.start()
    waiting.wait()
    intake.stop()
    told = [m for m in messages(store) if "dropped" in m]
    assert any("1 lines of test#gathered were dropped" in m for m in told)
