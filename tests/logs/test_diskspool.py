"""The disk spool: what was kept survives, what was acknowledged goes, identities stay."""

from __future__ import annotations

import errno
import json
import logging
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from verdant.logs import DiskSpool, Handler, Record, SpoolUnusable
from verdant.logs.client.diskspool import Place
from verdant.logs.codec import decompress
from verdant.logs.record import encode_line

if TYPE_CHECKING:
    from pathlib import Path


def record(text: str) -> Record:
    return Record(1, "a", "h", "INFO", text)


def place(offset: int) -> Place:
    return Place("/x", 3, "abc", offset, 7)


def test_batches_and_places_survive_and_keep_their_identity(tmp_path: Path) -> None:
    spool = DiskSpool(tmp_path, "me")
    assert spool.append([encode_line(record("one"))], {"1:1": place(4)})
    assert spool.append([encode_line(record("two"))], {"1:1": place(8), "1:2": place(1)})
    assert spool.append([], {"1:2": None})
    first, second = spool.take(), spool.take()
    assert first is not None
    assert second is not None
    assert spool.take() is None
    assert spool.forget(first.id.seq)
    assert not spool.forget(first.id.seq)
    epoch = spool.epoch
    spool.close()

    again = DiskSpool(tmp_path, "somebody else")
    assert (again.client, again.epoch) == ("me", epoch)
    assert again.places == {"1:1": place(8)}
    assert again.take() == second
    assert again.append([encode_line(record("three"))], {})
    third = again.take()
    assert third is not None
    assert third.id.seq == 2
    again.forget(1)
    again.forget(2)
    assert again.empty
    again.close()


def test_files_go_when_their_batches_are_acknowledged(tmp_path: Path) -> None:
    spool = DiskSpool(tmp_path, "me")
    lines = [encode_line(Record(1, "a", "h", "INFO", os.urandom(3000).hex())) for _ in range(300)]
    for _ in range(20):
        assert spool.append(lines, {})
    assert len(list(tmp_path.glob("spool-*.log"))) > 1
    while batch := spool.take():
        spool.forget(batch.id.seq)
    assert spool.append([], {"k": place(1)})
    spool.close()
    again = DiskSpool(tmp_path, "me")
    assert again.empty
    assert again.places == {"k": place(1)}
    assert len(list(tmp_path.glob("spool-*.log"))) <= 2
    assert again.bytes_used == sum(p.stat().st_size for p in tmp_path.glob("spool-*.log"))
    again.close()


def test_a_full_spool_refuses_files_and_counts_what_programs_log(tmp_path: Path) -> None:
    spool = DiskSpool(tmp_path, "me", bytes_max=100_000)
    big = [encode_line(Record(1, "a", "h", "INFO", os.urandom(20_000).hex()))]
    while spool.append(big, {"k": place(1)}):
        pass
    assert spool.bytes_used <= 100_000
    dropped = 0
    while spool.put(record("x" * 1000)):
        dropped += 1
        assert dropped < 1000
    assert not spool.put(record("y" * 1000))
    assert spool.dropped == 2
    while (batch := spool.take()) is not None:
        spool.forget(batch.id.seq)
        body = decompress(batch.body).decode()
        if "were dropped" in body:
            assert '"2 lines of me were dropped' in body
            break
    else:
        raise AssertionError("nobody told")
    spool.close()


def test_a_torn_or_damaged_record_costs_itself_only(tmp_path: Path) -> None:
    spool = DiskSpool(tmp_path, "me")
    for text in ("one", "two", "three"):
        assert spool.append([encode_line(record(text))], {"k": place(len(text))})
    spool.close()
    (path,) = tmp_path.glob("spool-*.log")
    data = bytearray(path.read_bytes())
    second = data.index(b"VSP1", data.index(b"VSP1", 1) + 1)
    data[second + 20] ^= 1
    path.write_bytes(bytes(data) + data[:25])
    again = DiskSpool(tmp_path, "me")
    assert again.unacknowledged() == [0, 2]
    again.close()


def test_a_disk_that_is_full_in_the_middle_costs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = DiskSpool(tmp_path, "me")
    assert spool.append([encode_line(record("one"))], {"k": place(1)})
    write = os.write

    def torn(fd: int, data: bytes) -> int:
        write(fd, bytes(data)[:10])
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "write", torn)
        with pytest.raises(OSError, match="No space"):
            spool.append([encode_line(record("lost"))], {"k": place(9)})
        # Nor does what a program logs meanwhile: it waits in memory.
        assert spool.put(record("two"))
        assert spool.forget(0)
        assert spool.take() is None
    assert spool.places == {"k": place(1)}
    assert spool.append([encode_line(record("three"))], {"k": place(2)})
    second, third = spool.take(), spool.take()
    assert second is not None
    assert third is not None
    bodies = decompress(second.body) + decompress(third.body)
    assert (b"two" in bodies, b"three" in bodies, b"lost" in bodies) == (True, True, False)
    assert spool.bytes_used == sum(p.stat().st_size for p in tmp_path.glob("spool-*.log"))
    spool.close()
    again = DiskSpool(tmp_path, "me")
    assert again.places == {"k": place(2)}
    # Its acknowledgement could not be written: it is sent once more, and known where it went.
    assert again.unacknowledged() == [0, 1, 2]
    again.close()


def test_a_second_process_is_refused(tmp_path: Path) -> None:
    spool = DiskSpool(tmp_path, "me")
    with pytest.raises(SpoolUnusable, match="another process"):
        DiskSpool(tmp_path, "me")
    spool.close()
    (tmp_path / "file").write_text("")
    with pytest.raises(SpoolUnusable, match="cannot keep"):
        DiskSpool(tmp_path / "file", "me")


def test_what_a_program_logs_is_on_disk_after_it_ended(tmp_path: Path) -> None:
    spool = DiskSpool(tmp_path, "me")
    log = logging.getLogger("test_diskspool")
    log.propagate = False
    handler = Handler(spool, "web")
    log.addHandler(handler)
    try:
        log.warning("one %s", "two", extra={"customer": 7})
    finally:
        log.removeHandler(handler)
    # No server was there, and nothing was sent.
    spool.close()
    again = DiskSpool(tmp_path, "me")
    batch = again.take()
    assert batch is not None
    line = json.loads(decompress(batch.body))
    assert (line["app"], line["level"], line["msg"]) == ("web", "WARNING", "one two")
    assert json.loads(line["fields"])["customer"] == 7
    again.close()


WRITER = """
import sys
from verdant.logs import DiskSpool, Handler, Record
from verdant.logs.client.diskspool import Place
from verdant.logs.record import encode_line
spool = DiskSpool(sys.argv[1], "me")
number = 0
while True:
    line = encode_line(Record(1, "a", "h", "INFO", str(number)))
    spool.append([line], {"k": Place("/x", 0, "", number, 0)})
    print(number, flush=True)
    number += 1
"""


def test_what_append_returned_from_is_there_after_a_kill(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE
    ) as writer:
        assert writer.stdout is not None
        told = 0
        while told < 50:
            told = int(writer.stdout.readline())
        writer.send_signal(signal.SIGKILL)
        rest = writer.stdout.read().split()
    told = int(rest[-1]) if rest else told
    spool = DiskSpool(tmp_path, "me")
    kept = spool.unacknowledged()
    assert kept == list(range(len(kept)))
    assert len(kept) > told
    # The lines and the place are one record.
    assert spool.places["k"].offset == kept[-1]
    spool.close()
