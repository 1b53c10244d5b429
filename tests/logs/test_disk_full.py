"""A full disk refuses batches, goes on answering, starts, and takes batches again by itself."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import msgspec
import pytest
from logs.lines import batch, messages, pack
from logs.test_store import configuration

from verdant.logs import Record, RetentionRule
from verdant.logs.store import Store, keep_house

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from verdant.logs.codec import Batch


# Enough for a segment of all that fits beside it.
HEADROOM_BYTES = 8 * 1024 * 1024


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", str(disk)]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("needs the right to mount a small tmpfs")
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


def fill(path: Path) -> None:
    with path.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))


def noise(seq: int) -> Batch:
    # Random text, so that it takes on the disk what it has.
    return pack([Record(seq, "web", "h", "INFO", os.urandom(40_000).hex())], seq)


def test_a_full_disk_is_refused_answered_from_and_left_again(small_disk: Path) -> None:
    store = Store(small_disk, headroom_bytes=HEADROOM_BYTES)
    assert store.headroom.held
    stored = 0
    while (result := store.append([noise(stored)])[0])[0] == "stored":
        stored += 1
    assert result[0] == "busy"
    assert "the disk is full" in result[1]
    assert stored > 20
    assert len(messages(store)) == stored

    # What was refused is welcome once there is room; what was written of it is not there.
    store.close()
    again = Store(small_disk, headroom_bytes=HEADROOM_BYTES)
    assert len(messages(again)) == stored
    assert again.append([noise(stored)])[0][0] == "busy"
    assert again.append([noise(0)])[0][0] == "duplicate"
    # The headroom is for this: the log becomes a segment, and goes.
    config = configuration(small_disk)
    keep_house(again, config)
    assert len(again.segments) == 1
    assert len(messages(again)) == stored
    keep_house(again, config)
    assert again.append([noise(stored)])[0][0] == "stored"
    assert len(messages(again)) == stored + 1
    again.close()


def test_a_store_starts_on_a_disk_without_a_byte(small_disk: Path) -> None:
    store = Store(small_disk)
    store.append([noise(0)])
    store.seal()
    store.append([noise(1)])
    store.close()
    filler = small_disk / "filler"
    with pytest.raises(OSError, match="space"):
        fill(filler)
    again = Store(small_disk)
    assert len(messages(again)) == 2
    assert again.append([noise(2)])[0][0] == "busy"
    filler.unlink()
    assert again.append([noise(2)])[0][0] == "stored"
    assert len(messages(again)) == 3
    again.close()


def test_lines_past_their_time_leave_a_full_disk(small_disk: Path) -> None:
    store = Store(small_disk, headroom_bytes=2 * 1024 * 1024)
    store.append([*(noise(seq) for seq in range(10)), batch(10, app="kept")])
    store.seal()
    with pytest.raises(OSError, match="space"):
        fill(small_disk / "filler")
    rules = [RetentionRule(app="web", age_s_max=50)]
    config = msgspec.structs.replace(configuration(small_disk), retention=rules)
    # Writing what is kept needs room before it gives any.
    assert keep_house(store, config) == []
    assert [set(segment.shares) for segment in store.segments] == [{"kept"}]
    assert len(messages(store)) == 10
    store.close()
