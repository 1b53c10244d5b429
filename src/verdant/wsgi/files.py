"""Files: answers that are files, sent by the kernel (`wsgi.file_wrapper` of PEP 3333).

Place     wsgi; handler.py asks `sendable_bytes` and falls back to iterating.
Promise   a regular file goes out by sendfile(2) over a plain connection; anything else that has
          `read`, and everything over TLS, goes out block by block.
Not here  framing (answer.py).
"""

from __future__ import annotations

import io
import os
import stat
from typing import Any

__all__ = ["FileWrapper", "sendable_bytes"]

# What PEP 3333's example takes; a server of static files would pass more.
BLOCK_BYTES = 8192


class FileWrapper:
    """An iterable of a file's blocks. Closing it closes the file."""

    __slots__ = ("block_bytes", "file")

    def __init__(self, file: Any, block_bytes: int = BLOCK_BYTES) -> None:  # noqa: ANN401 - any file
        self.file = file
        self.block_bytes = block_bytes

    def close(self) -> None:
        """Close the file, if it can be closed."""
        close = getattr(self.file, "close", None)
        if close is not None:
            close()

    def __iter__(self) -> FileWrapper:
        return self

    def __next__(self) -> bytes:
        block: bytes = self.file.read(self.block_bytes)
        if not block:
            raise StopIteration
        return block


def sendable_bytes(file: object) -> tuple[int, int] | None:
    """Where a regular file stands, and the bytes from there to its end; None for other files."""
    raw = file.raw if isinstance(file, io.BufferedReader | io.BufferedRandom) else file
    if not isinstance(raw, io.FileIO):
        # By its class, not by having a descriptor: a GzipFile has one too, of other bytes.
        return None
    found = os.fstat(raw.fileno())
    if not stat.S_ISREG(found.st_mode):
        return None
    offset: int = file.tell()  # type: ignore[attr-defined] # one of the classes above
    return offset, max(0, found.st_size - offset)
