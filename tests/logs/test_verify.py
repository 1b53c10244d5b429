"""Verify finds what is damaged, and nothing where nothing is; copies give back the same lines."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from logs.lines import batch, find, messages

from verdant.logs import StoreInUse
from verdant.logs.store import Store, export_segments, read_batches, rebuild, verify

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    store = Store(tmp_path / "store")
    store.append([batch(0, 2000), batch(1, 50, "other", "db")])
    store.seal()
    store.append([batch(2)])
    store.seal()
    store.append([batch(3), batch(4)])
    store.close()
    return tmp_path / "store"


def test_a_sound_store_has_no_problems_also_while_it_is_used(directory: Path) -> None:
    heard: list[tuple[int, int]] = []
    report = verify(directory, lambda done, total: heard.append((done, total)))
    assert (report.problems, report.notes) == ([], [])
    assert (report.segments, report.lines, report.unsealed_lines) == (2, 2060, 20)
    assert heard[0][0] == 0
    assert heard[-1] == (report.bytes, report.bytes)
    store = Store(directory)
    assert verify(directory).problems == []
    store.close()


def flip(path: Path, offset: int) -> None:
    data = bytearray(path.read_bytes())
    data[offset] ^= 0xFF
    path.write_bytes(bytes(data))


@pytest.mark.parametrize(
    ("pattern", "offset", "said"),
    [
        ("segment-*.parquet", 200, "cannot be read"),
        ("segment-*.parquet", -1, "cannot be read"),
        ("segment-*.grams", -1, "checksum differs"),
        ("wal-*.log", 60, "are damaged, their lines are lost"),
    ],
)
def test_damage_is_named_with_its_file(
    directory: Path, pattern: str, offset: int, said: str
) -> None:
    path = min(directory.glob(pattern))
    flip(path, offset)
    problems = verify(directory).problems
    assert any(said in problem and str(path) in problem for problem in problems), problems


def test_a_stale_catalogue_is_named_and_made_again(directory: Path) -> None:
    one, two = sorted(directory.glob("segment-*.parquet"))
    content = two.read_bytes()
    two.write_bytes(one.read_bytes())
    assert verify(directory).problems
    two.write_bytes(content)
    for path in directory.glob("*.grams"):
        path.unlink()
    (directory / "catalogue.sqlite").write_bytes(b"gone")
    assert len(verify(directory).problems) == 2
    assert rebuild(directory) == 2
    assert verify(directory).problems == []
    store = Store(directory)
    with pytest.raises(StoreInUse):
        rebuild(directory)
    assert len(messages(store)) == 2080
    store.close()


def test_a_torn_end_is_a_note_and_no_problem(directory: Path) -> None:
    (path,) = directory.glob("wal-*.log")
    path.write_bytes(path.read_bytes()[:-3])
    report = verify(directory)
    assert report.problems == []
    assert "not acknowledged" in report.notes[0]
    assert report.unsealed_lines == 10


def test_segments_go_out_as_they_are_and_come_in_once(directory: Path, tmp_path: Path) -> None:
    copies = export_segments(directory, tmp_path / "copy")
    assert [path.read_bytes() for path in copies] == [
        path.read_bytes() for path in sorted(directory.glob("segment-*.parquet"))
    ]
    # The same lines with the same identities, in a store of another shape.
    store = Store(tmp_path / "other")
    batches = [each for path in copies for each in read_batches(path)]
    assert {status for status, _ in store.append(batches)} == {"stored"}
    assert {status for status, _ in store.append(batches)} == {"duplicate"}
    origin = Store(directory)
    found = [row[2:-1] for row in find(origin) if row[9] not in (3, 4)]
    assert [row[2:-1] for row in find(store)] == found
    assert [row[0] for row in find(store)] == [
        row[0] for row in find(origin) if row[9] not in (3, 4)
    ]
    origin.close()
    store.close()
