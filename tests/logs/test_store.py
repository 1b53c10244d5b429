"""The store: acknowledged is on disk, damage costs one record, nothing is shown twice."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verdant.logs import BadBatch, Record, StoreInUse, StoreUnwritable
from verdant.logs.codec import Batch, BatchId, compress, decode_batch, encode_batch
from verdant.logs.record import encode_line
from verdant.logs.store import Scan, Store, follow, scan

if TYPE_CHECKING:
    from pathlib import Path

EVERYTHING = Scan(limit=50_000)


def batch(seq: int, lines: int = 10, client: str = "c") -> Batch:
    body = b"".join(
        encode_line(Record(time.time_ns(), "web", "h", "INFO", f"{seq}/{n}", {"n": n}))
        for n in range(lines)
    )
    return Batch(BatchId(client, 1, seq), lines, compress(body))


def messages(store: Store) -> list[str]:
    return [str(row[5]) for row in scan(store, EVERYTHING)]


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


def test_following_neither_drops_nor_repeats_while_segments_are_sealed(tmp_path: Path) -> None:
    store = Store(tmp_path)
    position = 0
    seen: list[str] = []
    for seq in range(12):
        store.append([batch(seq)])
        if seq % 3 == 0:
            store.seal()
        rows, position = follow(store, position, Scan(limit=7))
        seen += [str(row[5]) for row in rows]
    while True:
        rows, position = follow(store, position, Scan(limit=7))
        if not rows:
            break
        seen += [str(row[5]) for row in rows]
    assert seen == [f"{s}/{n}" for s in range(12) for n in range(10)]
    store.close()


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
from logs.test_store import Store, batch
store = Store(sys.argv[1])
for seq in range(100_000):
    store.append([batch(seq, 3)])
    print(seq, flush=True)
    if seq % 50 == 49:
        store.seal()
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
