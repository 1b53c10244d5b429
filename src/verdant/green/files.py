"""Files: pipes as file objects whose reads and writes park the green thread.

Place     green, on os.py; subprocess.py gives a child's pipes this shape.
Promise   the stdlib's `io` stack with one layer changed: buffering, text and line ends are the
          stdlib's own. Several green threads need a lock to use one file, as `io` says of threads.
Not here  regular files, which cannot be waited for: the stdlib's `open` reads those.
"""

from __future__ import annotations

import io as _stdlib
import os
import warnings
from types import ModuleType
from typing import IO, TYPE_CHECKING, Any, cast

from verdant.green.os import read as _read
from verdant.green.os import write as _write

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, WriteableBuffer

__all__ = ["FileIO", "io", "open_pipe", "reopened"]

# What one read asks of a pipe when the caller wants everything: Linux's default pipe capacity.
READ_BYTES = 64 * 1024


class FileIO(_stdlib.FileIO):
    """As `io.FileIO`, for pipes, terminals and sockets; reads and writes park."""

    def read(self, size: int | None = -1, /) -> bytes:
        """As in the stdlib. Parks until there is something to read."""
        if size is None or size < 0:
            return self.readall()
        if not self.readable():
            raise _stdlib.UnsupportedOperation("File not open for reading")
        return _read(self.fileno(), size)

    def readall(self) -> bytes:
        """As in the stdlib. Parks until the writers have closed their end."""
        pieces = []
        while piece := self.read(READ_BYTES):
            pieces.append(piece)
        return b"".join(pieces)

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """As in the stdlib. Parks until there is something to read."""
        view = memoryview(buffer).cast("B")
        data = self.read(len(view))
        view[: len(data)] = data
        return len(data)

    def write(self, data: ReadableBuffer, /) -> int:
        """As in the stdlib. Parks until `data` is written."""
        if not self.writable():
            raise _stdlib.UnsupportedOperation("File not open for writing")
        return _write(self.fileno(), data)


def open_pipe(fd: int, mode: str, bufsize: int = -1) -> IO[bytes]:
    """As `io.open(fd, mode, bufsize)` for a binary mode and a pipe. Owns `fd`. Does not park."""
    raw = FileIO(fd, mode.replace("b", ""))
    if bufsize == 0:
        return cast("IO[bytes]", raw)
    if bufsize == 1:
        # In the words of the stdlib.
        warnings.warn(
            "line buffering (buffering=1) isn't supported in binary mode, the default buffer size"
            " will be used",
            RuntimeWarning,
            stacklevel=2,
        )
    size = _stdlib.DEFAULT_BUFFER_SIZE if bufsize in (-1, 1) else bufsize
    buffered = _stdlib.BufferedReader if raw.readable() else _stdlib.BufferedWriter
    return cast("IO[bytes]", buffered(raw, size))


def reopened(file: IO[Any]) -> IO[Any]:
    """The stdlib file object `file` of a pipe as a green one; `file` is used up. Does not park."""
    if isinstance(file, _stdlib.TextIOWrapper):
        text = file
        encoding, errors = text.encoding, text.errors
        line_buffering, write_through = text.line_buffering, text.write_through
        return _stdlib.TextIOWrapper(
            cast("Any", reopened(cast("IO[bytes]", text.detach()))),
            encoding=encoding,
            errors=errors,
            line_buffering=line_buffering,
            write_through=write_through,
        )
    if isinstance(file, _stdlib.FileIO):
        # A file closes its descriptor, so ours has one of its own.
        green = FileIO(os.dup(file.fileno()), file.mode.replace("b", ""))
        file.close()
        return cast("IO[bytes]", green)
    raw = cast("_stdlib.BufferedReader", file).detach()
    green_raw = cast("Any", reopened(cast("IO[bytes]", raw)))
    buffered = _stdlib.BufferedReader if green_raw.readable() else _stdlib.BufferedWriter
    return cast("IO[bytes]", buffered(green_raw))


# What `subprocess` finds under the name `io` once it is patched: the stdlib's, but for `open`.
io = ModuleType("io")
vars(io).update(vars(_stdlib))
vars(io)["open"] = open_pipe
