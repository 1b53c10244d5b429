"""Ssl: the stdlib's TLS sockets, whose waits park the green thread.

Place     green, on socket.py. `SSLContext` is not replaced: under `monkey_patch()` its hook
          `sslsocket_class` names the class below, so contexts made earlier work too. A subclass of
          the stdlib's SSLSocket that a library puts there becomes green when a socket is made.
Promise   the stdlib's SSLSocket in all but the waiting; client and server, over any socket.
Not here  contexts and certificates (net/, or the stdlib).

One class with two parents: in its order of resolution every `super()` of the stdlib's SSLSocket
meets the green socket, so TLS is theirs and waiting is ours, without a copied line. The descriptor
is non-blocking, hence OpenSSL says what it wants instead of waiting for it.

Two green threads that write to one TLS socket at once need a lock, as native threads do: OpenSSL
wants a write that could not go out repeated before another.
"""

from __future__ import annotations

import ssl as _stdlib
import weakref
from typing import TYPE_CHECKING, Any, TypeVar, cast

from verdant.green.socket import socket

if TYPE_CHECKING:
    import socket as _plain
    from collections.abc import Callable

    from _typeshed import ReadableBuffer, WriteableBuffer

__all__ = ["SSLSocket", "create_green"]

T = TypeVar("T")

_stdlib_create = cast("Any", _stdlib.SSLSocket)._create.__func__  # noqa: SLF001 - replaced below


class SSLSocket(_stdlib.SSLSocket, socket):  # type: ignore[misc] # typeshed narrows some parameters
    """As `ssl.SSLSocket`. Made by `SSLContext.wrap_socket()` once the context's hook names it."""

    @classmethod
    def _create(cls, sock: _plain.socket, *args: Any, **kwargs: Any) -> SSLSocket:  # noqa: ANN401 - the stdlib's own
        if not isinstance(sock, socket):
            return cast("SSLSocket", _stdlib_create(cls, sock, *args, **kwargs))
        sock.lend(True)
        try:
            return cast("SSLSocket", _stdlib_create(cls, sock, *args, **kwargs))
        finally:
            sock.lend(False)

    def _until_done(self, call: Callable[..., T], *args: object) -> T:
        deadline: float | None = None
        waited: object = None
        while True:
            try:
                return call(*args)
            except _stdlib.SSLWantReadError:
                if self._timeout_s == 0.0:
                    raise
                watch = self._watched()
                watch.readable = False
                wait = watch.wait_readable
            except _stdlib.SSLWantWriteError:
                if self._timeout_s == 0.0:
                    raise
                wait = self._watched().wait_writable
            deadline = self._wait(wait, deadline, wait == waited)
            waited = wait

    def do_handshake(self, block: bool = False) -> None:
        """As in the stdlib. Parks."""
        self._check_connected()  # type: ignore[attr-defined]
        timeout_s = self._timeout_s
        if block and timeout_s == 0.0:
            self._timeout_s = None
        try:
            # The stdlib's own would set the timeout and thereby undo ours.
            self._until_done(self._sslobj.do_handshake)  # type: ignore[attr-defined]
        finally:
            self._timeout_s = timeout_s

    def read(self, len: int = 1024, buffer: WriteableBuffer | None = None) -> Any:  # noqa: ANN401 - bytes, or their number
        """As in the stdlib. Parks."""
        return self._until_done(super().read, len, buffer)

    def write(self, data: ReadableBuffer) -> int:
        """As in the stdlib. Parks."""
        return self._until_done(super().write, data)

    def send(self, data: ReadableBuffer, flags: int = 0) -> int:
        """As in the stdlib. Parks."""
        return self._until_done(super().send, data, flags)

    def stream_calls(self) -> tuple[Callable[[int], bytes], Callable[[bytes], None]]:
        """`recv` and `sendall`, for the stream's owner: there is no shorter way through TLS."""
        return self.recv, self.sendall

    def unwrap(self) -> _plain.socket:
        """As in the stdlib. Parks until the peer has closed its side of the TLS session too."""
        return self._until_done(super().unwrap)


# A green twin per subclass of the stdlib's class.
_twins: weakref.WeakKeyDictionary[type, type[SSLSocket]] = weakref.WeakKeyDictionary()


def _green_twin(cls: type[_stdlib.SSLSocket]) -> type[SSLSocket]:
    """`cls` itself when its waits park, else a subclass of it whose do."""
    if issubclass(cls, SSLSocket):
        return cls
    if cls is _stdlib.SSLSocket:
        return SSLSocket
    twin = _twins.get(cls)
    if twin is None:
        # In its order of resolution the library's methods come first, then ours, then the stdlib's.
        names = {"__module__": cls.__module__, "__qualname__": cls.__qualname__, "__slots__": ()}
        twin = _twins[cls] = type(cls.__name__, (cls, SSLSocket), names)
    return twin


def _create_green(cls: type[_stdlib.SSLSocket], *args: Any, **kwargs: Any) -> SSLSocket:  # noqa: ANN401 - the stdlib's own
    return _green_twin(cls)._create(*args, **kwargs)  # noqa: SLF001 - ours


# What `SSLSocket._create` becomes under `monkey_patch()`: it makes every TLS socket there is.
create_green = classmethod(_create_green)
