"""The store: acknowledged is on disk, damage costs one record, nothing is shown twice."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import fields
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from logs.lines import MSG, batch, messages

from verdant.logs import BadBatch, LogServerConfig, Record, StoreInUse, StoreUnwritable
from verdant.logs.codec import Batch, BatchId, compress, decode_batch, encode_batch
from verdant.logs.query import make_plan
from verdant.logs.record import encode_line
from verdant.logs.store import Search, Store, keep_house

if TYPE_CHECKING:
    from pathlib import Path

    from verdant.logs.store.segment import Segment


@given(st.text(max_size=50), st.dictionaries(st.text(max_size=5), st.integers()))
def test_any_text_is_a_line(message: str, fields: dict[str, object]) -> None:
    line = encode_line(Record(1, "a", "h", "info", message, fields))
    assert line.count(b"\n") == 1
    assert json.loads(json.loads(line)["fields"]) == fields


@given(st.lists(st.binary(max_size=30), max_size=5))
def test_strangers_frames_are_refused(frames: list[bytes]) -> None:
    for tried in (frames, [b"VB1", *frames]):
        with pytest.raises(BadBatch):
            decode_batch(tried)


def test_a_batch_survives_the_wire() -> None:
    sent = batch(7)
    assert decode_batch(encode_batch(sent)) == sent


def test_a_batch_is_stored_once_and_found_after_a_restart(tmp_path: Path) -> None:
    store = Store(tmp_path)
    assert [s for s, _ in store.append([batch(0), batch(1), batch(1)])] == [
        "stored",
        "stored",
        "duplicate",
    ]
    store.seal()
    assert [s for s, _ in store.append([batch(1), batch(2)])] == ["duplicate", "stored"]
    assert len(messages(store)) == 30
    store.close()
    again = Store(tmp_path)
    assert [s for s, _ in again.append([batch(0), batch(2)])] == ["duplicate", "duplicate"]
    assert sorted(messages(again)) == sorted(f"{s}/{n}" for s in range(3) for n in range(10))
    again.seal()
    assert len(messages(again)) == 30
    again.close()


def test_a_malformed_batch_is_refused_and_others_are_not(tmp_path: Path) -> None:
    store = Store(tmp_path)
    odd = [
        Batch(BatchId("c", 1, 90), 1, b"not zstd"),
        Batch(BatchId("c", 1, 91), 1, compress(b"not json\n")),
        Batch(BatchId("c", 1, 92), 5, compress(encode_line(Record(1, "a", "h", "INFO", "m")))),
        Batch(BatchId("c", 1, 93), 1, compress(b'{"t":1,"other":2}\n')),
    ]
    assert [s for s, _ in store.append([*odd, batch(0)])] == ["refused"] * 4 + ["stored"]
    assert len(messages(store)) == 10
    store.close()


def test_damage_costs_the_damaged_record_alone(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for seq in range(5):
        store.append([batch(seq)])
    store.close()
    (path,) = tmp_path.glob("wal-*.log")
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(bytes(data) + b"VWL1 torn")
    again = Store(tmp_path)
    assert len(messages(again)) == 40
    again.close()


def follow(store: Store, after: int, limit: int) -> tuple[list[str], int]:
    search = Search(store)
    try:
        rows, end = search.after(make_plan("", 0, limit=limit), after)
        return [str(row[MSG]) for row in rows], end
    finally:
        search.close()


def test_following_neither_drops_nor_repeats_while_segments_are_sealed(tmp_path: Path) -> None:
    store = Store(tmp_path)
    position = 0
    seen: list[str] = []
    for seq in range(12):
        store.append([batch(seq)])
        if seq % 3 == 0:
            store.seal()
        if seq % 5 == 0:
            keep_house(store, configuration(tmp_path))
        some, position = follow(store, position, 7)
        seen += some
    while True:
        some, position = follow(store, position, 7)
        if not some:
            break
        seen += some
    assert seen == [f"{s}/{n}" for s in range(12) for n in range(10)]
    store.close()


def configuration(directory: Path) -> LogServerConfig:
    nowhere = "tcp://127.0.0.1:*"
    return LogServerConfig(
        name="x", collect=nowhere, pull=nowhere, query=nowhere, data_dir=str(directory)
    )


def test_positions_go_on_when_every_segment_went(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.append([batch(0)])
    store.seal()
    store.replace(store.segments, ())
    store.close()
    again = Store(tmp_path)
    assert again.end == 10
    assert again.identity == store.identity
    assert [path.suffix for path in tmp_path.iterdir() if "segment" in path.name] == []
    again.close()


def test_files_stay_while_somebody_reads_them(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.append([batch(0)])
    store.seal()
    search = Search(store)
    store.replace(store.segments, ())
    plan = make_plan("", 0)
    assert len([row for page in search.lines(plan) for row in page.rows]) == 10
    search.close()
    store.unlink_free()
    assert list(tmp_path.glob("segment-*")) == []
    store.close()


def test_a_segment_that_was_replaced_before_a_crash_is_not_shown_again(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for seq in range(4):
        store.append([batch(seq)])
        store.seal()
    kept = {path: path.read_bytes() for path in tmp_path.glob("segment-*")}
    keep_house(store, configuration(tmp_path))
    assert len(store.segments) == 1
    store.close()
    for path, content in kept.items():
        path.write_bytes(content)
    again = Store(tmp_path)
    assert len(messages(again)) == len(set(messages(again))) == 40
    assert len(list(tmp_path.glob("segment-*.parquet"))) == 1
    again.close()


def test_a_damaged_segment_is_left_out_and_left_alone(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for seq in range(6):
        store.append([batch(seq)])
        store.seal()
    path = store.segments[2].path
    store.close()
    path.write_bytes(b"PAR1 not any more")
    again = Store(tmp_path)
    keep_house(again, configuration(tmp_path))
    assert len(messages(again)) == 50
    assert path.exists()
    assert [s for s, _ in again.append([batch(9)])] == ["stored"]
    assert again.end == 70
    again.close()


@pytest.mark.parametrize("damage", [b"", b"not sqlite at all" * 100, None])
def test_a_lost_catalogue_is_made_again(tmp_path: Path, damage: bytes | None) -> None:
    store = Store(tmp_path)
    store.append([batch(0), batch(1)])
    store.seal()
    before = store.segments
    store.close()
    catalogue = tmp_path / "catalogue.sqlite"
    if damage is None:
        catalogue.unlink()
    else:
        catalogue.write_bytes(damage)
    again = Store(tmp_path)
    assert [vars_of(each) for each in again.segments] == [vars_of(each) for each in before]
    assert [s for s, _ in again.append([batch(1)])] == ["duplicate"]
    again.close()
    third = Store(tmp_path)
    assert [vars_of(each) for each in third.segments] == [vars_of(each) for each in before]
    third.close()


def vars_of(segment: Segment) -> list[object]:
    return [getattr(segment, field.name) for field in fields(segment)]


def test_a_directory_serves_one_store(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with pytest.raises(StoreInUse, match="another log server"):
        Store(tmp_path)
    store.close()
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(StoreUnwritable, match="cannot keep logs"):
        Store(file)


WRITER = """
import sys
sys.path.insert(0, sys.argv[2])
from pathlib import Path
from logs.test_store import Store, batch, configuration, keep_house
store = Store(sys.argv[1])
for seq in range(100_000):
    store.append([batch(seq, 3)])
    print(seq, flush=True)
    if seq % 6 == 5:
        store.seal()
        keep_house(store, configuration(Path(sys.argv[1])))
"""


def test_what_was_acknowledged_survives_sigkill(tmp_path: Path) -> None:
    tests = os.path.dirname(os.path.dirname(__file__))
    for acknowledged in (1, 30, 75):
        directory = tmp_path / str(acknowledged)
        process = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(directory), tests], stdout=subprocess.PIPE
        )
        assert process.stdout is not None
        try:
            heard = 0
            while heard < acknowledged:
                heard = int(process.stdout.readline()) + 1
            process.send_signal(signal.SIGKILL)
            rest = process.stdout.read().split()
            process.wait(30)
        finally:
            process.kill()
            process.wait()
            process.stdout.close()
        heard += len(rest)
        store = Store(directory)
        found = messages(store)
        assert len(found) == len(set(found))
        assert {f"{s}/{n}" for s in range(heard) for n in range(3)} <= set(found)
        store.close()
