"""Tail: files that grow, line by line into a disk spool, each line once.

Place     logs/client, over watching.py, multiline.py and diskspool.py. Blocking, but for `run`.
Promise   the lines of a batch and how far the files are read with them are one record of the
          spool: after kill -9 reading goes on behind the last line that is kept. While the spool is
          full nothing is read and nothing is lost: the files are the buffer.
Not here  which files (watching.py), sending (shipper.py).

A rotated file is read on, for writers that have not opened the fresh one yet, until it is quiet for
`ROTATED_S`. A truncated one begins again; what was truncated before it was read is in its copy, if
there is one.
"""

from __future__ import annotations

import logging
import os
import socket
import time
from typing import TYPE_CHECKING, NamedTuple

from verdant.core import monotonic, run_in_worker, sleep
from verdant.logs.client.containers import read_line
from verdant.logs.client.diskspool import Place
from verdant.logs.client.multiline import Joiner
from verdant.logs.client.spool import BATCH_BYTES_GOAL
from verdant.logs.client.watching import (
    HEAD_BYTES,
    find_files,
    head_of,
    key_of,
    truncated_key,
    vanished,
)
from verdant.logs.codec import BATCH_LINES_MAX
from verdant.logs.record import Record, encode_line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from verdant.logs.client.diskspool import DiskSpool
    from verdant.logs.client.multiline import Event, Rule
    from verdant.logs.client.watching import Found

__all__ = ["Tail"]

# How often files and directories are looked at: a line is searchable within a second.
LOOK_S = 0.2
# How often rotated files that nobody opened yet are looked for: directories are read for it.
LOOK_ROTATED_S = 2.0
# Files remembered; beyond it those that are gone are forgotten.
PLACES_MAX = 1000
# Read from one file before the others get their turn.
READ_BYTES = 256 * 1024
# Lines that the joiner gets before it is asked what is whole.
LINES_PER_TURN = 500
# What has no line break by then is given out in parts.
LINE_BYTES_MAX = 256 * 1024
# How long the lines of an event, or the end of a line, may be apart.
JOIN_S = 1.0
# How long a file that lost its name must be quiet before it is closed.
ROTATED_S = 3.0
# The spool is full, or the disk: asked again this often.
FULL_S = 0.5

_log = logging.getLogger("verdant.logs")


class _Item(NamedTuple):
    """What is to be kept, in order: a line, or where a file is read to, or both.

    `cut`: True when a batch may end behind it. `place` None with `cut` forgets the file.
    """

    line: bytes | None
    key: str
    place: Place | None
    cut: bool


class _Followed:
    """One open file. Raises OSError, also when another file has its name by now."""

    def __init__(self, found: Found, rule: Rule) -> None:
        self.path = found.path
        self.key = found.key
        self.place = found.place
        self.fd = os.open(found.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        if key_of(os.fstat(self.fd)) != found.key:
            os.close(self.fd)
            raise FileNotFoundError(0, "it was replaced just now", found.path)
        # Where the next read begins; the place moves when lines are kept.
        self.offset = found.place.offset
        self.rest = b""
        self.joiner = Joiner(rule)
        self.changed_at = monotonic()

    def restart(self) -> None:
        self.offset, self.rest = 0, b""

    @property
    def at_end(self) -> bool:
        """True when there is nothing more to read now."""
        return os.fstat(self.fd).st_size <= self.offset

    @property
    def has_name(self) -> bool:
        """True while the file is where it was found."""
        try:
            status, ours = os.stat(self.path), os.fstat(self.fd)
        except OSError:
            return False
        return (status.st_dev, status.st_ino) == (ours.st_dev, ours.st_ino)


class Tail:
    """Reads the files that `patterns` (as `glob` has them) mean into `spool`, as lines of `app`.

    format: of the lines, one of `containers.FORMATS`. rule: what joins lines (`parse_multiline`).
    at_end: begin at the end of files that are there and were never read.
    """

    def __init__(
        self,
        spool: DiskSpool,
        patterns: Sequence[str],
        app: str,
        *,
        format: str = "plain",  # noqa: A002 - what it is called everywhere
        rule: Rule,
        at_end: bool = False,
    ) -> None:
        self._spool = spool
        self._patterns = [os.path.abspath(pattern) for pattern in patterns]
        self._app = app
        self._host = socket.gethostname()
        self._format = format
        self._rule = rule
        self._at_end = at_end and not spool.places
        self._files: dict[str, _Followed] = {}
        # Read, and not kept yet.
        self._items: list[_Item] = []
        self._size = 0
        self._looked_at = self._looked_rotated_at = float("-inf")

    def run(self) -> None:
        """Read for ever. Parks."""
        while True:
            pause_s = run_in_worker(self.step)
            if pause_s:
                sleep(pause_s)

    def step(self) -> float:
        """Read what there is, about one batch. Blocks. Returns seconds until the next is due."""
        if not self._keep():
            return FULL_S
        if monotonic() - self._looked_at >= LOOK_S:
            self._look()
            self._looked_at = monotonic()
        progress = False
        for followed in list(self._files.values()):
            progress = self._read(followed) or progress
            # The last to be read the next time: one busy file must not hold up the others.
            self._files[followed.key] = self._files.pop(followed.key)
            if self._size >= BATCH_BYTES_GOAL:
                break
        if not self._keep():
            return FULL_S
        return 0.0 if progress else LOOK_S

    def close(self) -> None:
        """Let go of the files; what was not kept is read again. Does not block."""
        for followed in self._files.values():
            os.close(followed.fd)
        self._files.clear()

    def _look(self) -> None:
        """Open what is there and is not open; close what was rotated away and is quiet."""
        for followed in list(self._files.values()):
            quiet = monotonic() - followed.changed_at > ROTATED_S and followed.at_end
            if quiet and not followed.has_name:
                self._finish(followed)
        rotated = monotonic() - self._looked_rotated_at >= LOOK_ROTATED_S
        places = self._spool.places
        for found in find_files(
            self._patterns, places, self._files, at_end=self._at_end, rotated=rotated
        ):
            try:
                followed = _Followed(found, self._rule)
            except OSError as exc:
                _log.warning("%s cannot be read: %s", found.path, exc.strerror)
                continue
            self._files[found.key] = followed
            if found.replaces is not None:
                self._note(truncated_key(found.replaces), found.replaces)
            if places.get(found.key) != found.place:
                self._note(found.key, found.place)
        self._at_end = False
        if rotated:
            self._looked_rotated_at = monotonic()
            if len(places) > PLACES_MAX:
                for key in vanished(places, self._files):
                    self._note(key, None)

    def _note(self, key: str, place: Place | None) -> None:
        self._items.append(_Item(None, key, place, True))

    def _finish(self, followed: _Followed) -> None:
        if followed.rest:
            self._feed(followed, followed.rest, followed.offset)
            followed.rest = b""
        self._take(followed, flush=True)
        os.close(followed.fd)
        del self._files[followed.key]

    def _read(self, followed: _Followed) -> bool:
        """Read a piece of a file. True when there was one."""
        try:
            self._check(followed)
            data = os.pread(followed.fd, READ_BYTES, followed.offset)
        except OSError as exc:
            _log.warning("%s cannot be read: %s", followed.path, exc.strerror)
            data = b""
        if data:
            followed.changed_at = monotonic()
            end = followed.offset + len(data)
            if followed.place.head_bytes < min(HEAD_BYTES, end):
                # Before a place in it is kept: a short head is soon that of many files.
                self._set_head(followed, min(HEAD_BYTES, end))
            self._split(followed, data)
        elif monotonic() - followed.changed_at > JOIN_S and followed.joiner.waiting:
            # Nothing more belongs to what waits, or it comes too late.
            self._take(followed, flush=True)
            return False
        self._take(followed)
        return bool(data)

    def _check(self, followed: _Followed) -> None:
        """Begin again if the file was truncated. Raises OSError."""
        place = followed.place
        size = os.fstat(followed.fd).st_size
        if size >= followed.offset and head_of(followed.fd, place.head_bytes) == place.head:
            return
        self._take(followed, flush=True)
        self._note(truncated_key(followed.place), followed.place)
        followed.restart()
        self._set_head(followed, 0)

    def _set_head(self, followed: _Followed, head_bytes: int) -> None:
        place, head = followed.place, head_of(followed.fd, head_bytes)
        offset = min(place.offset, followed.offset)
        followed.place = Place(place.path, head_bytes, head, offset, place.since_ns)
        self._note(followed.key, followed.place)

    def _split(self, followed: _Followed, data: bytes) -> None:
        start = followed.offset - len(followed.rest)
        buffer = followed.rest + data
        position = fed = 0
        while True:
            end = buffer.find(b"\n", position)
            if end < 0:
                if len(buffer) - position < LINE_BYTES_MAX:
                    break
                end = position + LINE_BYTES_MAX - 1
                self._feed(followed, buffer[position : end + 1], start + end + 1)
            else:
                self._feed(followed, buffer[position:end], start + end + 1)
            position = end + 1
            fed += 1
            if fed % LINES_PER_TURN == 0:
                self._take(followed)
        followed.rest = buffer[position:]
        followed.offset += len(data)

    def _feed(self, followed: _Followed, raw: bytes, end: int) -> None:
        begin = end - len(raw)
        followed.joiner.feed(read_line(self._format, raw, begin, end))

    def _take(self, followed: _Followed, *, flush: bool = False) -> None:
        for event in followed.joiner.take(flush=flush):
            line = encode_line(self._record(followed, event))
            self._size += len(line)
            place = followed.place
            if event.end is not None:
                place = Place(place.path, place.head_bytes, place.head, event.end, place.since_ns)
                followed.place = place
            self._items.append(_Item(line, followed.key, place, event.end is not None))

    def _record(self, followed: _Followed, event: Event) -> Record:
        fields: dict[str, object] = {"file": followed.place.path}
        if event.stream:
            fields["stream"] = event.stream
        moment = time.time_ns() if event.time_ns is None else event.time_ns
        return Record(moment, self._app, self._host, "INFO", event.text, fields)

    def _keep(self) -> bool:
        """Put what was read into the spool, batch by batch. False while it does not fit."""
        while self._items:
            count = _batch_of(self._items)
            items = self._items[:count]
            lines = [item.line for item in items if item.line is not None]
            places = {item.key: item.place for item in items if item.cut}
            try:
                if not self._spool.append(lines, places):
                    return False
            except OSError as exc:
                _log.warning("lines cannot be kept (%s); reading waits", exc.strerror)
                return False
            del self._items[:count]
        self._size = 0
        return True


def _batch_of(items: list[_Item]) -> int:
    """How many of `items` make a batch: to the last cut within its bounds, one at least."""
    count = lines = size = 0
    for number, item in enumerate(items, 1):
        if item.line is not None:
            lines += 1
            size += len(item.line)
        if count and (size > BATCH_BYTES_GOAL or lines > BATCH_LINES_MAX):
            break
        if item.cut:
            count = number
    return count
