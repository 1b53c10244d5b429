"""Backdoor: a Python console inside the running program, on a unix socket.

Place     net, on the server; a program opens it for the people who run it.
Promise   one green thread and one namespace per connection. What is typed runs in that green
          thread: it may wait, which keeps nobody else waiting. Only the file's owner can connect.
Not here  passwords, TCP: whoever connects can do what the process can, so the file's mode decides.

    backdoor = Backdoor("/run/my-service/console")
    backdoor.start()

    $ socat READLINE UNIX-CONNECT:/run/my-service/console
    >>> print(dump())
"""

from __future__ import annotations

import builtins
import code
import contextlib
import contextvars
import os
import sys
import traceback
from functools import partial
from typing import TYPE_CHECKING, Any, TextIO

from verdant.address import UnixAddress
from verdant.core import Cancelled, dump, hub_statistics, spawn
from verdant.net.listener import listen
from verdant.net.server import Server

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import CodeType

    from verdant.net.stream import Stream

__all__ = ["Backdoor", "serve_console"]

# Who may operate a service is few; the others wait.
CONNECTIONS_MAX = 10

# A line, or a pasted block, that is longer is not typed by a person.
LINE_BYTES_MAX = 1_048_576

RECV_BYTES = 4096

# Where the value of an expression goes: to the console of this green thread, if it has one.
_console: contextvars.ContextVar[_Console | None] = contextvars.ContextVar("_console", default=None)


class Backdoor:
    """Serves consoles on the unix socket `path`, whose file only its owner can use (mode 0600).

    `names`: what the consoles know beside `dump`, `hub_statistics` and `spawn`.
    Raises `AddressUnusable` when another process listens there, or the place is not allowed.
    """

    def __init__(self, path: str, names: Mapping[str, object] | None = None) -> None:
        self.path = path
        self._names = dict(names or {})
        listener = listen(UnixAddress(path), unix_mode=0o600)
        self._server = Server(
            listener, self._serve, connections_max=CONNECTIONS_MAX, name="backdoor console"
        )

    def start(self) -> None:
        """Begin to accept connections. Does not park."""
        self._server.start()

    def stop(self) -> None:
        """Close the socket and every console, and remove the file. Parks."""
        self._server.stop()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.path)

    def _serve(self, stream: Stream) -> None:
        serve_console(stream, self._names)


def serve_console(stream: Stream, names: Mapping[str, object]) -> None:
    """Serve a console that knows `names` to whoever is at the other end, until they leave. Parks.

    They can do what the process can. Call it in a green thread of its own.
    """
    _install_displayhook()
    console = _Console(stream, names)
    _console.set(console)
    console.write(
        f"verdant console of process {os.getpid()}, Python {sys.version.split()[0]}:"
        " dump(), hub_statistics(), exit()\n"
    )
    with contextlib.suppress(EOFError, SystemExit):
        # SystemExit: of this console, not of the program.
        while True:
            console.ask()


class _Console(code.InteractiveConsole):
    """The stdlib's console, with a stream for a terminal."""

    def __init__(self, stream: Stream, names: Mapping[str, object]) -> None:
        # A namespace's builtins may be its own: here `print` writes to the one who asked.
        own = dict(vars(builtins), print=partial(_print, self), exit=_exit, quit=_exit)
        super().__init__(
            {
                "__name__": "__console__",
                "__doc__": None,
                "__builtins__": own,
                "dump": dump,
                "hub_statistics": hub_statistics,
                "spawn": spawn,
                **names,
            },
            filename="<backdoor>",
        )
        self._stream = stream
        self._received = bytearray()
        self._more = False

    def ask(self) -> None:
        """Take one line and, once a statement is whole, run it. Parks. Raises EOFError."""
        self._more = self.push(self.raw_input("... " if self._more else ">>> "))

    def raw_input(self, prompt: str = "") -> str:
        """Ask for a line. Parks. Raises EOFError when no more will come."""
        self.write(prompt)
        while (end := self._received.find(b"\n")) < 0:
            data = self._stream.recv(RECV_BYTES)
            if not data or len(self._received) > LINE_BYTES_MAX:
                raise EOFError
            self._received += data
        line = self._received[:end].decode(errors="replace").rstrip("\r")
        del self._received[: end + 1]
        return line

    def write(self, data: str) -> None:
        """Show text. Parks while the other end does not read."""
        self._stream.sendall(data.encode(errors="backslashreplace"))

    def runcode(self, code: CodeType) -> None:
        """Run what was typed, and show what it raises; but let it be cancelled."""
        try:
            exec(code, self.locals)
        except (SystemExit, KeyboardInterrupt, Cancelled):
            # Ctrl-C was pressed elsewhere, and is the program's.
            raise
        except BaseException:  # noqa: BLE001 - shown to the one who typed it
            self.showtraceback()

    def showtraceback(self) -> None:
        """Show the exception in hand, from the typed line on. Not by sys.excepthook."""
        kind, exc, frames = sys.exc_info()
        inner = frames.tb_next if frames is not None else None
        self.write("".join(traceback.format_exception(kind, exc, inner)))

    def showsyntaxerror(self, filename: str | None = None, **_: object) -> None:
        """Show the syntax error in hand."""
        kind, exc, _frames = sys.exc_info()
        self.write("".join(traceback.format_exception_only(kind, exc)))


def _print(
    console: _Console,
    *values: object,
    sep: str | None = None,
    end: str | None = None,
    file: TextIO | None = None,
    flush: bool = False,
) -> None:
    # Shown at once, so that there is nothing to flush.
    sep = " " if sep is None else sep
    end = "\n" if end is None else end
    write = console.write if file is None else file.write
    write(sep.join(map(str, values)) + end)
    if file is not None and flush:
        file.flush()


def _exit(code: object = None) -> None:
    raise SystemExit(code)


def _install_displayhook() -> None:
    # There is one per process, and it asks whose expression it was.
    previous = sys.displayhook
    if isinstance(previous, _DisplayHook):
        return
    sys.displayhook = _DisplayHook(previous)


class _DisplayHook:
    def __init__(self, previous: Callable[[object], Any]) -> None:
        self._previous = previous

    def __call__(self, value: object) -> None:
        console = _console.get()
        if console is None:
            self._previous(value)
        elif value is not None:
            console.locals["_"] = value
            console.write(f"{value!r}\n")
