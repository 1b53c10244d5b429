"""Following files: rotated, copied, truncated, renamed while nobody looked; each line once."""

from __future__ import annotations

import json
import os
import random
import shutil
from typing import TYPE_CHECKING

import pytest

from verdant.logs import DiskSpool, Tail, parse_multiline
from verdant.logs.client import tail as tail_module
from verdant.logs.codec import decompress

if TYPE_CHECKING:
    from pathlib import Path

NONE = parse_multiline("none")


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look on every step: what is about times is not what is tested here."""
    for name in ("LOOK_S", "LOOK_ROTATED_S", "ROTATED_S", "JOIN_S"):
        monkeypatch.setattr(tail_module, name, 1e-9)


class Reader:
    """A client's life: spool and tail. `restart` is what a kill leaves."""

    def __init__(self, directory: Path, pattern: str = "*.log", rule: str = "none") -> None:
        self.directory = directory
        self.pattern = str(directory / pattern)
        self.rule = rule
        self.at_end = False
        self.format = "plain"
        self.begin()

    def begin(self) -> None:
        self.spool = DiskSpool(self.directory / "spool", "me")
        self.tail = Tail(
            self.spool, [self.pattern], "a", rule=parse_multiline(self.rule), at_end=self.at_end,
            format=self.format,
        )  # fmt: skip

    def restart(self) -> None:
        self.stop()
        self.begin()

    def stop(self) -> None:
        self.tail.close()
        self.spool.close()

    def read(self) -> None:
        for _ in range(5):
            while not self.tail.step():
                pass

    def texts(self) -> list[str]:
        found = []
        while (batch := self.spool.take()) is not None:
            lines = decompress(batch.body).splitlines()
            assert len(lines) == batch.lines
            found += [json.loads(line)["msg"] for line in lines]
        return found


def write(path: Path, text: str) -> None:
    with path.open("a") as file:
        file.write(text)


def test_lines_come_once_over_restarts_and_an_unfinished_line_waits(tmp_path: Path) -> None:
    reader, path = Reader(tmp_path), tmp_path / "x.log"
    write(path, "one\ntwo\nthr")
    reader.read()
    reader.restart()
    write(path, "ee\nfour\n")
    reader.read()
    assert reader.texts() == ["one", "two", "three", "four"]
    assert {place.path for place in reader.spool.places.values()} == {str(path)}
    reader.stop()


def test_a_renamed_file_is_read_to_its_end_while_its_writer_goes_on(tmp_path: Path) -> None:
    reader, path = Reader(tmp_path), tmp_path / "x.log"
    write(path, "one\n")
    reader.read()
    path.rename(tmp_path / "x.log.1")
    write(tmp_path / "x.log.1", "two\n")
    write(path, "three\n")
    reader.read()
    write(tmp_path / "x.log.1", "late\n")
    reader.read()
    assert sorted(reader.texts()) == sorted(["one", "two", "three", "late"])
    reader.stop()


def test_files_rotated_twice_while_nobody_looked(tmp_path: Path) -> None:
    reader, path = Reader(tmp_path), tmp_path / "x.log"
    # From before our time, and packed: not ours.
    write(tmp_path / "x.log.9", "ancient\n")
    os.utime(tmp_path / "x.log.9", (1, 1))
    write(tmp_path / "x.log.8.gz", "packed\n")
    write(path, "one\n")
    reader.read()
    reader.stop()
    write(path, "two\n")
    path.rename(tmp_path / "x.log.2")
    write(path, "three\n")
    path.rename(tmp_path / "x.log.1")
    write(path, "four\n")
    reader.begin()
    reader.read()
    assert sorted(reader.texts()) == sorted(["one", "two", "three", "four"])
    reader.stop()


@pytest.mark.parametrize("away", [False, True])
def test_copytruncate(tmp_path: Path, away: bool) -> None:
    reader, path = Reader(tmp_path), tmp_path / "x.log"
    write(path, "first\nsecond\n")
    reader.read()
    if away:
        reader.stop()
    write(path, "not read yet\n")
    shutil.copy(path, tmp_path / "x.log.1")
    if not away:
        # The copy is there and its file is not truncated yet.
        reader.read()
    os.truncate(path, 0)
    write(path, "much longer than what was there before it was truncated, and another\n")
    if away:
        reader.begin()
    reader.read()
    assert sorted(reader.texts()) == sorted(
        [
            "first",
            "second",
            "not read yet",
            "much longer than what was there before it was truncated, and another",
        ]
    )
    reader.stop()


def test_a_file_that_uses_an_inode_again_is_another(tmp_path: Path) -> None:
    reader, path = Reader(tmp_path), tmp_path / "x.log"
    write(path, "one\n")
    reader.read()
    reader.stop()
    path.write_text("two, in the same inode\n")
    reader.begin()
    reader.read()
    assert reader.texts() == ["one", "two, in the same inode"]
    reader.stop()


def test_from_the_end_only_what_is_new(tmp_path: Path) -> None:
    write(tmp_path / "x.log", "old\n")
    reader = Reader(tmp_path)
    reader.at_end = True
    reader.restart()
    reader.read()
    write(tmp_path / "x.log", "fresh\n")
    reader.restart()
    write(tmp_path / "y.log", "whole\n")
    reader.read()
    assert sorted(reader.texts()) == ["fresh", "whole"]
    reader.stop()


def test_a_full_spool_stops_reading_and_loses_nothing(tmp_path: Path) -> None:
    reader, path = Reader(tmp_path), tmp_path / "x.log"
    reader.stop()
    reader.spool = DiskSpool(tmp_path / "spool", "me", bytes_max=4 * 1024 * 1024)
    reader.tail = Tail(reader.spool, [reader.pattern], "a", rule=NONE)
    lines = [os.urandom(25_000).hex() for _ in range(300)]
    write(path, "\n".join(lines) + "\n")
    found: list[str] = []
    full = 0
    while len(found) < len(lines):
        while reader.tail.step() == 0.0:
            pass
        full += reader.spool.bytes_used > 2 * 1024 * 1024
        while (batch := reader.spool.take()) is not None:
            found += [json.loads(line)["msg"] for line in decompress(batch.body).splitlines()]
            reader.spool.forget(batch.id.seq)
        assert reader.spool.take() is None
    assert found == lines
    assert full
    reader.stop()


def test_a_line_without_an_end_comes_in_parts(tmp_path: Path) -> None:
    reader = Reader(tmp_path)
    write(tmp_path / "x.log", "x" * (600 * 1024) + "\nnext\n")
    reader.read()
    texts = reader.texts()
    assert "".join(texts[:-1]) == "x" * (600 * 1024)
    assert texts[-1] == "next"
    reader.stop()


def test_many_short_lines_keep_within_a_batch(tmp_path: Path) -> None:
    reader = Reader(tmp_path)
    write(tmp_path / "x.log", "\n" * 50_000)
    reader.read()
    assert reader.texts() == [""] * 50_000
    reader.stop()


def test_dockers_partial_lines_over_a_restart(tmp_path: Path) -> None:
    reader = Reader(tmp_path)
    reader.format = "docker"
    reader.restart()
    path = tmp_path / "x.log"

    def docker(text: str, stream: str) -> str:
        return json.dumps({"log": text, "stream": stream, "time": "2026-01-02T03:04:05Z"}) + "\n"

    write(path, docker("begun, ", "stdout") + docker("whole\n", "stderr"))
    # Within the time in which the rest may come.
    tail_module.JOIN_S = 60.0
    reader.read()
    reader.restart()
    write(path, docker("ended\n", "stdout"))
    reader.read()
    assert sorted(reader.texts()) == ["begun, ended", "whole"]
    reader.stop()


@pytest.mark.parametrize("seed", range(40))
def test_any_order_of_writing_rotating_and_restarting(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    reader, path = Reader(tmp_path), tmp_path / "x.log"
    written: list[str] = []
    path.touch()
    reader.read()

    def log(count: int) -> None:
        lines = [f"{len(written) + n} {'x' * chance.randrange(60)}" for n in range(count)]
        written.extend(lines)
        write(path, "".join(line + "\n" for line in lines))

    def shift() -> None:
        names = sorted(tmp_path.glob("x.log.*"), key=lambda p: -int(p.suffix[1:]))
        for name in names:
            name.rename(tmp_path / f"x.log.{int(name.suffix[1:]) + 1}")

    away = False
    for _ in range(60):
        action = chance.choice(["log", "log", "log", "read", "read", "rename", "copy", "life"])
        if action == "log":
            log(chance.randrange(1, 20))
        elif action == "read" and not away:
            reader.tail.step()
        elif action == "rename" and path.stat().st_size:
            shift()
            path.rename(tmp_path / "x.log.1")
            log(1)
        elif action == "copy" and path.stat().st_size:
            shift()
            shutil.copy(path, tmp_path / "x.log.1")
            os.truncate(path, 0)
            log(1)
        elif action == "life":
            if away:
                reader.begin()
            else:
                reader.stop()
            away = not away
    if away:
        reader.begin()
    reader.read()
    reader.read()
    texts = reader.texts()
    assert sorted(texts) == sorted(written)
    reader.stop()
