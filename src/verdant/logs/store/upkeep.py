"""Upkeep: seal, drop what is past its bounds, merge what is small, keep bytes aside.

Place     logs/store. Blocking; one native thread at a time runs it, again and again.
Promise   lines that are kept are in one segment or the other at every moment, whatever fails. What
          fails is told in sentences and tried again the next time.
Not here  what is past its bounds (retention.py).
"""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet

from verdant.logs.errors import StoreUnwritable
from verdant.logs.store.retention import expired_apps, oldest_over
from verdant.logs.store.segment import Segment, write_segment
from verdant.logs.store.writer import TAIL_LINES_MAX

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from verdant.logs.config import LogServerConfig
    from verdant.logs.store.writer import Store

__all__ = ["keep_house", "mergeable"]

# A merged segment has at most so many lines: as many as a full tail, since both must fit memory.
MERGED_LINES_MAX = TAIL_LINES_MAX
# Fewer small neighbours are left alone: each line is written some three times, not each hour.
MERGED_COUNT_MIN = 4


def keep_house(store: Store, config: LogServerConfig) -> list[str]:
    """One round of all of it. Returns what the operator should hear. Blocks."""
    said: list[str] = []
    store.unlink_free()
    said += _drop_oldest(store, config.store_bytes_max)
    if store.wants_sealing():
        said += _seal(store)
    said += _expire(store, config)
    said += _merge(store)
    store.headroom.reserve()
    return said


def _with_headroom(store: Store, work: Callable[[], object]) -> None:
    """Do `work`; once more with the bytes kept aside when there are too few. Raises as it does."""
    try:
        work()
    except (OSError, StoreUnwritable, pa.ArrowException):
        if not store.headroom.held:
            raise
        # That is what they are for: what the work replaces goes when the work is done.
        store.headroom.release()
        work()


def _seal(store: Store) -> list[str]:
    try:
        _with_headroom(store, store.seal)
    except StoreUnwritable as exc:
        return [str(exc)]
    return []


def _drop_oldest(store: Store, bytes_max: int) -> list[str]:
    segments = store.segments
    gone = oldest_over(segments, max(0, bytes_max - store.log_bytes))
    if not gone:
        return []
    store.replace(gone, ())
    lines = sum(segment.lines for segment in gone)
    return [f"the store is over {bytes_max} bytes: its {lines} oldest lines were dropped"]


def _expire(store: Store, config: LogServerConfig) -> list[str]:
    if not config.retention:
        return []
    found = expired_apps(store.segments, config.retention, time.time_ns())
    for segment, apps in found.items():
        if apps == set(segment.shares):
            store.replace((segment,), ())
            continue
        try:
            _with_headroom(store, partial(_thin_out, store, segment, apps))
        except (OSError, pa.ArrowException) as exc:
            return [f"lines past their retention stay in {segment.path} for now ({exc})"]
    return []


def _thin_out(store: Store, segment: Segment, apps: set[str]) -> None:
    table = pyarrow.parquet.read_table(segment.path)
    expired = pa.compute.is_in(table["app"], value_set=pa.array(sorted(apps), pa.string()))
    kept = table.filter(pa.compute.invert(expired))
    span = (segment.first, segment.last, segment.generation + 1)
    store.replace((segment,), (write_segment(store.directory, kept, span),))


def _merge(store: Store) -> list[str]:
    run = mergeable(store.segments)
    # Not on a disk that is all but full: a merge gives no room worth its own.
    if not run or not store.headroom.held:
        return []
    span = (run[0].first, run[-1].last, max(segment.generation for segment in run) + 1)
    try:
        table = pa.concat_tables([pyarrow.parquet.read_table(segment.path) for segment in run])
        merged = write_segment(store.directory, table, span)
    except (OSError, pa.ArrowException) as exc:
        return [f"small segments from {run[0].path} on stay as they are ({exc})"]
    store.replace(run, (merged,))
    return []


def mergeable(segments: Sequence[Segment]) -> list[Segment]:
    """The first run of neighbours that together make one segment of a good size; pure.

    Neighbours have no position between them: what stands there, a log or a damaged segment, would
    seem to have been replaced.
    """
    run: list[Segment] = []
    lines = 0
    for segment in segments:
        is_small = segment.lines * 2 <= MERGED_LINES_MAX
        is_next = not run or segment.first == run[-1].last + 1
        if is_small and is_next and lines + segment.lines <= MERGED_LINES_MAX:
            run.append(segment)
            lines += segment.lines
            continue
        if len(run) >= MERGED_COUNT_MIN:
            return run
        run = [segment] if is_small else []
        lines = segment.lines if is_small else 0
    return run if len(run) >= MERGED_COUNT_MIN else []
