"""Watching: which files a pattern means now, and which of them were read already.

Place     logs/client; looks at directories, reads heads, decides. Blocking.
Promise   a file is known by device, inode and a hash of its first bytes, whatever it is called: a
          renamed file is the same, an inode that was used again is not. Nothing is read twice, and
          a file that was rotated away while nobody looked is still read to its end.
Not here  reading on (tail.py), where places are kept (diskspool.py).

What a file turns out to be:

    known, not shorter, same head          goes on at its place
    known, but shorter or another head     was truncated: from its beginning (copytruncate; the
                                           copy, known by the head, goes on at the old place)
    unknown, at a name that is asked for   from its beginning
    unknown, beside it as NAME.* or NAME-* rotated while we were away, if it was written since we
                                           began: from its beginning; a copy of what we read is not

Packed files (.gz and others) are left alone: what is in them was read, or is gone.
"""

from __future__ import annotations

import glob
import hashlib
import os
import time
from typing import TYPE_CHECKING, NamedTuple

from verdant.logs.client.diskspool import Place

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

__all__ = ["HEAD_BYTES", "Found", "find_files", "head_of", "key_of", "truncated_key", "vanished"]

# Of a file's beginning: more than the times that log lines begin with.
HEAD_BYTES = 256

_TRUNCATED = "was:"

_PACKED = (".gz", ".xz", ".bz2", ".zst", ".lz4", ".zip", ".tmp", ".swp")


class Found(NamedTuple):
    """A file to read from `place` on. `replaces`: the place of what was truncated there."""

    path: str
    key: str
    place: Place
    replaces: Place | None = None


def key_of(status: os.stat_result) -> str:
    """What a file is called in the places: its device and inode."""
    return f"{status.st_dev}:{status.st_ino}"


def truncated_key(place: Place) -> str:
    """Where the place of a truncated file is kept, for its copy."""
    return f"{_TRUNCATED}{place.path}:{place.head}"


def head_of(fd: int, head_bytes: int) -> str:
    """The hash of the first `head_bytes` bytes. Raises OSError."""
    return hashlib.blake2b(os.pread(fd, head_bytes, 0), digest_size=16).hexdigest()


def find_files(
    patterns: Sequence[str],
    places: Mapping[str, Place],
    open_keys: Iterable[str],
    *,
    at_end: bool,
    rotated: bool,
) -> list[Found]:
    """The files that are to be opened now. Blocks.

    at_end: new ones are read from their end on. rotated: look for rotated ones, too.
    """
    skipped = set(open_keys)
    found: list[Found] = []
    paths = sorted({path for pattern in patterns for path in glob.glob(pattern)})
    for path in paths:
        one = _judge(path, places, skipped, at_end=at_end)
        if one is not None:
            found.append(one)
            skipped.add(one.key)
    if not rotated:
        return found
    # A name that is away just now, in the middle of a rotation, has rotated files all the same.
    names = {*paths, *(place.path for place in places.values())}
    for path in sorted(names):
        for sibling in _siblings(path):
            one = _judge_rotated(path, sibling, places, skipped)
            if one is not None:
                found.append(one)
                skipped.add(one.key)
    return found


def _judge(
    path: str, places: Mapping[str, Place], skipped: set[str], *, at_end: bool
) -> Found | None:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        status = os.fstat(fd)
        key = key_of(status)
        if key in skipped or not os.path.isfile(path):
            return None
        known = places.get(key)
        since = min((p.since_ns for p in places.values() if p.path == path), default=time.time_ns())
        if known is not None and _same(fd, status, known):
            return Found(path, key, known)
        head_bytes = min(status.st_size, HEAD_BYTES)
        offset = status.st_size if at_end else 0
        place = Place(path, head_bytes, head_of(fd, head_bytes), offset, since)
        return Found(path, key, place, known)
    except OSError:
        return None
    finally:
        os.close(fd)


def vanished(places: Mapping[str, Place], open_keys: Iterable[str]) -> list[str]:
    """Keys of places whose files are neither open nor in their directories any more. Blocks."""
    present = set(open_keys)
    for directory in {os.path.dirname(place.path) for place in places.values()}:
        try:
            device = os.stat(directory).st_dev
            with os.scandir(directory) as entries:
                present.update(f"{device}:{entry.inode()}" for entry in entries)
        except OSError:
            # Not there just now: nothing is known about its files.
            present.update(k for k, p in places.items() if os.path.dirname(p.path) == directory)
    return [key for key in places if key not in present]


def _same(fd: int, status: os.stat_result, place: Place) -> bool:
    return status.st_size >= place.offset and head_of(fd, place.head_bytes) == place.head


def _siblings(path: str) -> list[str]:
    directory, name = os.path.split(path)
    try:
        entries = sorted(os.listdir(directory or "."))
    except OSError:
        return []
    return [
        os.path.join(directory, entry)
        for entry in entries
        if entry.startswith((name + ".", name + "-")) and not entry.endswith(_PACKED)
    ]


def _judge_rotated(
    path: str, sibling: str, places: Mapping[str, Place], skipped: set[str]
) -> Found | None:
    try:
        fd = os.open(sibling, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        status = os.fstat(fd)
        key = key_of(status)
        if key in skipped or not os.path.isfile(sibling):
            return None
        known = places.get(key)
        if known is not None and _same(fd, status, known):
            # Read to its end already: nothing to open.
            return Found(sibling, key, known) if status.st_size > known.offset else None
        ours = [place for place in places.values() if place.path == path]
        if not ours or status.st_mtime_ns < min(place.since_ns for place in ours):
            return None
        for name, was in places.items():
            copied = name.startswith(_TRUNCATED) and was.path == path
            if copied and was.head_bytes and _same(fd, status, was):
                return Found(sibling, key, was)
        for place in ours:
            if place.head_bytes and head_of(fd, place.head_bytes) == place.head:
                # A copy of what was read, or is being read under its own name.
                return None
        head_bytes = min(status.st_size, HEAD_BYTES)
        since = min(place.since_ns for place in ours)
        place = Place(path, head_bytes, head_of(fd, head_bytes), 0, since)
        return Found(sibling, key, place, known)
    except OSError:
        return None
    finally:
        os.close(fd)
