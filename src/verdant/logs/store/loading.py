"""Loading: a directory's files to what a store holds of them.

Place     logs/store. Blocking; runs once, before anything is served.
Promise   every sound line in a segment or a log is there; what a crash left half done is put right.
          Needs no room on the disk.
"""

from __future__ import annotations

import contextlib
import logging
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pyarrow as pa

from verdant.logs.ranges import KnownBatches
from verdant.logs.store.segment import Segment, describe, find_paths, grams_path
from verdant.logs.store.tail import Tail, find_logs, replay

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from verdant.logs.store.catalogue import Catalogue

__all__ = ["Loaded", "load_directory", "read_identity"]

_log = logging.getLogger("verdant.logs")


@dataclass(slots=True)
class Loaded:
    """What was found. `empty`: logs without a line, whose names alone say something."""

    segments: list[Segment] = field(default_factory=list)
    tails: list[Tail] = field(default_factory=list)
    empty: list[Path] = field(default_factory=list)
    known: KnownBatches = field(default_factory=KnownBatches)
    end: int = 0


def read_identity(directory: Path) -> str:
    """A name for the store in `directory`, made on its first start. Raises OSError.

    A follower's token has it: positions of another store would mean other lines.
    """
    path = directory / "identity"
    with contextlib.suppress(OSError):
        identity = path.read_text(encoding="ascii", errors="replace").strip()
        if identity:
            return identity
    identity = uuid.uuid4().hex
    with contextlib.suppress(OSError):
        # On a full disk: a name for this start alone.
        path.write_text(identity + "\n", encoding="ascii")
    return identity


def load_directory(
    directory: Path, catalogue: Catalogue, progress: Callable[[int, int], object]
) -> Loaded:
    """Everything in `directory`. `progress` hears how many segments of how many are done."""
    for leftover in directory.glob("segment-*.tmp"):
        leftover.unlink(missing_ok=True)
    loaded = Loaded()
    spans, replaced = find_paths(directory)
    for path in replaced:
        path.unlink(missing_ok=True)
        grams_path(path).unlink(missing_ok=True)
    catalogued = catalogue.load()
    fresh: list[Segment] = []
    for done, (path, span) in enumerate(spans.items()):
        progress(done, len(spans))
        segment = catalogued.pop(path.name, None)
        if segment is None or segment.bytes != path.stat().st_size:
            try:
                segment = describe(path, span)
            except (OSError, pa.ArrowException) as exc:
                # It stays where it is: somebody may still save a part of it.
                _log.error("%s is damaged and left out (%s): run `verdant logs verify`", path, exc)
                loaded.end = max(loaded.end, span[1] + 1)
                continue
            fresh.append(segment)
        loaded.segments.append(segment)
        loaded.end = max(loaded.end, segment.last + 1)
        for piece in segment.batches:
            loaded.known.add(*piece)
    progress(len(spans), len(spans))
    if fresh or catalogued:
        catalogue.replace(catalogued.values(), fresh)
    _load_logs(directory, loaded)
    return loaded


def _load_logs(directory: Path, loaded: Loaded) -> None:
    for first, path in find_logs(directory):
        loaded.end = max(loaded.end, first)
        if any(segment.first <= first <= segment.last for segment in loaded.segments):
            path.unlink(missing_ok=True)
            continue
        tail = replay(path, loaded.known)
        if not tail.tables:
            loaded.empty.append(path)
            continue
        loaded.tails.append(tail)
        position, table = tail.tables[-1]
        loaded.end = max(loaded.end, position + table.num_rows)
