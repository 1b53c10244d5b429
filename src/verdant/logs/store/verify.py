"""Verify: read a whole store and tell what is wrong; rebuild what is a copy.

Place     logs/store. Blocking. `verify` writes nothing and needs no lock, so that it may look at a
          store whose server runs; `rebuild` needs the store for itself.
Promise   every page of every segment and every record of every log is checked against its checksum.
          What is found is a list of sentences; an empty one means that all is well.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet

from verdant.logs.store.catalogue import Catalogue
from verdant.logs.store.columns import COLUMNS
from verdant.logs.store.grams import build_grams, check_grams
from verdant.logs.store.segment import describe, find_paths, grams_path, replace_file
from verdant.logs.store.tail import find_logs
from verdant.logs.store.wal import find_damage
from verdant.logs.store.writer import Store

if TYPE_CHECKING:
    from collections.abc import Callable

    from verdant.logs.store.segment import Segment

__all__ = ["Report", "rebuild", "verify"]


@dataclass(slots=True)
class Report:
    """What was read, and what is wrong. `notes`: what is odd and harms nobody."""

    segments: int = 0
    lines: int = 0
    unsealed_lines: int = 0
    bytes: int = 0
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def verify(
    directory: str | Path, progress: Callable[[int, int], object] = lambda done, total: None
) -> Report:
    """Read all of the store in `directory`. `progress`: bytes that are read, of how many. Blocks.

    Raises OSError when the directory cannot be read.
    """
    directory = Path(directory)
    report = Report()
    spans, replaced = find_paths(directory)
    logs = list(find_logs(directory))
    sizes = {path: path.stat().st_size for path in [*spans, *(path for _, path in logs)]}
    total = sum(sizes.values())
    # Without writing: a catalogue that is not there is no fault, it is made at the next start.
    known = Catalogue(directory, read_only=True).load()
    for path, span in spans.items():
        progress(report.bytes, total)
        report.bytes += sizes[path]
        try:
            _verify_segment(path, span, known.get(path.name), report)
        except FileNotFoundError:
            report.notes.append(f"{path.name} went meanwhile: it was merged or dropped")
        except (OSError, pa.ArrowException) as exc:
            report.problems.append(f"{path}: cannot be read ({exc})")
    for path in replaced:
        report.notes.append(f"{path.name} was replaced by another segment: the next start drops it")
    for _, path in logs:
        progress(report.bytes, total)
        report.bytes += sizes[path]
        _verify_log(path, report)
    progress(total, total)
    return report


def _verify_segment(
    path: Path, span: tuple[int, int, int], known: Segment | None, report: Report
) -> None:
    file = pyarrow.parquet.ParquetFile(path, page_checksum_verification=True)
    lines = 0
    last: tuple[bytes, int, int] | None = None
    try:
        for batch in file.iter_batches(columns=list(COLUMNS)):
            table = pa.Table.from_batches([batch])
            if not table.num_rows:
                continue
            lines += table.num_rows
            positions = pa.compute.min_max(table["pos"]).as_py()
            if positions["min"] < span[0] or positions["max"] > span[1]:
                report.problems.append(f"{path}: has lines whose positions are not in its name")
            order = [("app", "ascending"), ("t", "ascending"), ("pos", "ascending")]
            keys = table.select(["app", "t", "pos"])
            first_key, last_key = _key(keys, 0), _key(keys, -1)
            if not keys.equals(keys.sort_by(order)) or (last is not None and first_key < last):
                report.problems.append(f"{path}: is not sorted by app and time")
            last = last_key
    finally:
        file.close()
    report.segments += 1
    report.lines += lines
    if lines != file.metadata.num_rows:
        report.problems.append(f"{path}: has {lines} lines and announces {file.metadata.num_rows}")
    damage = check_grams(grams_path(path))
    if damage is not None:
        report.problems.append(
            f"{grams_path(path)}: {damage}; searches are slower: `verdant logs rebuild`"
        )
    if known is not None and _facts(known) != _facts(describe(path, span)):
        report.problems.append(
            f"{path}: the catalogue says otherwise; `verdant logs rebuild` makes it again"
        )


def _key(keys: pa.Table, index: int) -> tuple[bytes, int, int]:
    row = keys.slice(keys.num_rows + index if index < 0 else index, 1).to_pylist()[0]
    return row["app"].encode(), row["t"], row["pos"]


def _facts(segment: Segment) -> tuple[object, ...]:
    return (segment.lines, segment.bytes, segment.t_min, segment.t_max, segment.received_max,
            segment.shares, segment.batches)  # fmt: skip


def _verify_log(path: Path, report: Report) -> None:
    try:
        lines, holes, torn = find_damage(path)
    except FileNotFoundError:
        report.notes.append(f"{path.name} went while it was looked at: its lines were sealed")
        return
    except OSError as exc:
        report.problems.append(f"{path}: cannot be read ({exc})")
        return
    report.unsealed_lines += lines
    for start, end in holes:
        report.problems.append(f"{path}: bytes {start} to {end} are damaged, their lines are lost")
    if torn:
        report.notes.append(f"{path.name} ends in {torn} bytes that were not acknowledged")


def rebuild(
    directory: str | Path, progress: Callable[[int, int], object] = lambda done, total: None
) -> int:
    """Make the catalogue and the grams again from the segments. Returns how many there are. Blocks.

    Raises `StoreInUse` while a server runs on it, `StoreUnwritable`.
    """
    store = Store(directory)
    try:
        segments = store.segments
        for done, segment in enumerate(segments):
            progress(done, len(segments))
            messages = pyarrow.parquet.read_table(segment.path, columns=["msg"])["msg"]
            replace_file(grams_path(segment.path), build_grams(messages))
        fresh = [describe(each.path, (each.first, each.last, each.generation)) for each in segments]
        store.catalogue.forget()
        store.catalogue.replace((), fresh)
        progress(len(segments), len(segments))
        return len(segments)
    finally:
        store.close()
