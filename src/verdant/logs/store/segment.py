"""Segment: sealed lines, a Parquet file that is never changed again.

Place     logs/store. Blocking.
Promise   a segment's file appears whole or not at all. Whatever is known of it can be had from the
          file alone (`describe`), so that the catalogue is a copy.
Not here  lines in memory (columns.py), the file beside it (grams.py).

    segment-FIRST-LAST-GENERATION.parquet   positions of its first and last line, how often lines
                                            were taken out; sorted by app, then time

A segment whose positions lie within another's, or which has the same and a lower generation, was
replaced by it: a crash came between the rename and the unlink.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet

from verdant.logs.query import may_match
from verdant.logs.ranges import BatchRange, KnownBatches
from verdant.logs.store.grams import build_grams, may_contain

if TYPE_CHECKING:
    from pathlib import Path

    from verdant.logs.query import Plan

__all__ = [
    "AppShare",
    "Segment",
    "describe",
    "describe_table",
    "find_paths",
    "grams_path",
    "replace_file",
    "sync_directory",
    "write_segment",
]

# Of a row group, which the engine reads or skips whole: small enough that an hour of a busy app is
# a part of its lines, large enough to be packed as well as all of them.
ROW_GROUP_LINES = 32_768

_name = re.compile(r"segment-([0-9]{20})-([0-9]{20})(?:-([0-9]{6}))?\.parquet").fullmatch


@dataclass(frozen=True, slots=True)
class AppShare:
    """What one app has in a segment: lines, and their least and greatest time."""

    lines: int
    t_min: int
    t_max: int


# Compared and kept in sets as the thing that it is: a file.
@dataclass(frozen=True, slots=True, eq=False)
class Segment:
    """A sealed file: positions `first` to `last`, some of which may have been taken out since."""

    path: Path
    first: int
    last: int
    generation: int
    lines: int
    bytes: int
    t_min: int
    t_max: int
    received_max: int
    shares: dict[str, AppShare]
    batches: tuple[BatchRange, ...]

    @property
    def apps(self) -> dict[str, AppShare]:
        """By app, what it has here."""
        return self.shares

    def may_contain(self, text: str) -> bool:
        """False when no message here has `text` in it. Reads a few pages of a file."""
        return may_contain(grams_path(self.path), text)

    def may_have(self, plan: Plan) -> bool:
        """False when no line here meets `plan`."""
        if plan.since_ns is not None and self.t_max < plan.since_ns:
            return False
        if plan.until_ns is not None and self.t_min >= plan.until_ns:
            return False
        return may_match(plan.where, self)


def grams_path(path: Path) -> Path:
    """The file beside the segment at `path`."""
    return path.with_suffix(".grams")


def write_segment(directory: Path, table: pa.Table, span: tuple[int, int, int]) -> Segment:
    """Seal `table` as a file in `directory`. `span`: first, last, generation. Raises OSError."""
    ordered = table.sort_by([("app", "ascending"), ("t", "ascending"), ("pos", "ascending")])
    first, last, generation = span
    path = directory / f"segment-{first:020d}-{last:020d}-{generation:06d}.parquet"
    # Its grams first: a segment that is there has them, unless the disk lost them.
    replace_file(grams_path(path), build_grams(ordered["msg"]))
    temporary = path.with_suffix(".tmp")
    try:
        with temporary.open("wb") as file:
            pyarrow.parquet.write_table(
                ordered,
                file,
                compression="zstd",
                use_dictionary=["app", "host", "level", "client"],
                row_group_size=ROW_GROUP_LINES,
                write_page_checksum=True,
            )
            file.flush()
            os.fsync(file.fileno())
        temporary.rename(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        grams_path(path).unlink(missing_ok=True)
        raise
    sync_directory(directory)
    return describe_table(path, ordered, span)


def replace_file(path: Path, content: bytes) -> None:
    """Put `content` at `path`, all of it or none. Blocks. Raises OSError."""
    temporary = path.with_suffix(".tmp")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.rename(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def sync_directory(directory: Path) -> None:
    """Make renames and unlinks in `directory` durable. Blocks."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def find_paths(directory: Path) -> tuple[dict[Path, tuple[int, int, int]], list[Path]]:
    """Segments in `directory` with their spans, oldest first; and those that were replaced."""
    spans: dict[Path, tuple[int, int, int]] = {}
    for path in directory.iterdir():
        match = _name(path.name)
        if match is not None:
            spans[path] = (int(match[1]), int(match[2]), int(match[3] or 0))
    # The widest first, and of equals the latest: whatever lies within one before it was replaced.
    ordered = sorted(spans.items(), key=lambda item: (item[1][0], -item[1][1], -item[1][2]))
    kept: dict[Path, tuple[int, int, int]] = {}
    replaced: list[Path] = []
    reached = -1
    for path, span in ordered:
        if span[1] <= reached:
            replaced.append(path)
        else:
            kept[path] = span
            reached = span[1]
    return kept, replaced


def describe(path: Path, span: tuple[int, int, int]) -> Segment:
    """What the file at `path` has. Reads a few columns. Raises OSError, pyarrow.ArrowException."""
    names = ["t", "received", "app", "client", "epoch", "seq"]
    return describe_table(path, pyarrow.parquet.read_table(path, columns=names), span)


def describe_table(path: Path, table: pa.Table, span: tuple[int, int, int]) -> Segment:
    """What `table`, sealed at `path`, has."""
    shares = {
        row["app"]: AppShare(row["t_count"], row["t_min"], row["t_max"])
        for row in table.group_by("app")
        .aggregate([("t", "count"), ("t", "min"), ("t", "max")])
        .to_pylist()
    }
    known = KnownBatches()
    for row in table.group_by(["client", "epoch", "seq"]).aggregate([]).to_pylist():
        known.add(row["client"], row["epoch"], row["seq"])
    return Segment(
        path,
        *span,
        table.num_rows,
        path.stat().st_size,
        min((share.t_min for share in shares.values()), default=0),
        max((share.t_max for share in shares.values()), default=0),
        pa.compute.max(table["received"]).as_py() or 0,
        shares,
        tuple(known.ranges()),
    )
