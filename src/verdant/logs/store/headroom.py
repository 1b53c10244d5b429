"""Headroom: bytes kept aside on the disk, for the work that makes room.

Place     logs/store. Blocking.
Promise   while it is held the log can fill the disk and a segment can be sealed all the same. No
          errors: a disk without room for it is told by `held`.

Sealing writes a segment before its log goes, and taking an app out writes the rest again: both need
room before they give any, at most as much as a log may have. Without it a full disk stays full.
"""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Headroom"]


class Headroom:
    """The file `headroom` in `directory`, of `size_bytes`; 0 keeps nothing aside."""

    def __init__(self, directory: Path, size_bytes: int) -> None:
        self._path = directory / "headroom"
        self._size_bytes = size_bytes

    @property
    def held(self) -> bool:
        """True when the bytes are there."""
        try:
            return self._path.stat().st_size >= self._size_bytes
        except OSError:
            return not self._size_bytes

    def reserve(self) -> bool:
        """Keep the bytes aside. Returns False when the disk has too few. Blocks."""
        if self.held:
            return True
        try:
            fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                # Blocks of its own, which a file of zeroes would not have on every disk.
                os.posix_fallocate(fd, 0, self._size_bytes)
            finally:
                os.close(fd)
        except OSError:
            self.release()
            return False
        return True

    def release(self) -> None:
        """Give the bytes to whoever writes next. Blocks."""
        with contextlib.suppress(OSError):
            self._path.unlink(missing_ok=True)
