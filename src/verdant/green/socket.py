"""Sockets: the stdlib's `socket`, whose waits park the green thread.

Place     green; under net/, and what `socket.socket` becomes under `monkey_patch()`.
Promise   the whole surface of the stdlib's class with its meaning, timeouts included; a socket
          that blocks, blocks its green thread only. Closing wakes those who wait with EBADF.
Not here  names (dns.py), TLS (ssl.py), buffering (net/).

The descriptor is non-blocking from the first moment and registered on its first wait, once, for
both directions (core/watch.py). A plain stream `recv` without flags goes by the short-read rule
(core/loops.py); every other call tries, is told EAGAIN, and parks.
"""

from __future__ import annotations

import contextlib
import errno
import operator
import os
import socket as _stdlib
from _socket import socket as _base
from typing import TYPE_CHECKING, Any, TypeVar, cast

from verdant.core import FdWatch, is_interrupt, monotonic, watch_fd
from verdant.errors import TimedOut
from verdant.green.dns import getaddrinfo

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from _typeshed import ReadableBuffer, WriteableBuffer

__all__ = ["create_connection", "create_server", "fromfd", "socket", "socketpair"]

T = TypeVar("T")

Address = Any  # the stdlib's own: a tuple per family, or a path
AncillaryData = list[tuple[int, int, bytes]]

_STREAM = int(_stdlib.SOCK_STREAM)
# The last of several addresses may fail for the first's reason: these mean "not yet".
_IN_PROGRESS = frozenset({errno.EINPROGRESS, errno.EALREADY, errno.EWOULDBLOCK})

# EAGAIN to these says that there is nothing of the kind, not that nothing is there to read.
_ASIDE = int(_stdlib.MSG_OOB) | int(getattr(_stdlib, "MSG_ERRQUEUE", 0))

_recv = _base.recv
_send = _base.send
_setblocking = _base.setblocking
# The plain numbers: the stdlib's properties make an enum of them at every look.
_family = _base.family.__get__
_type = _base.type.__get__
_proto = _base.proto.__get__

# Bytes that sendfile hands to the kernel at once; larger requests only lengthen the time in which
# no other green thread runs.
SENDFILE_BYTES = 1 << 20


class socket(_stdlib.socket):
    """A socket whose waits park the green thread. Constructor and calls as in the stdlib."""

    __slots__ = ("_lent", "_stream", "_timeout_s", "_watch")

    def __init__(
        self, family: int = -1, type: int = -1, proto: int = -1, fileno: int | None = None
    ) -> None:
        super().__init__(family, type, proto, fileno)
        self._timeout_s: float | None = _stdlib.getdefaulttimeout()
        self._watch: FdWatch | None = None
        # True when a TLS socket is about to take the descriptor over.
        self._lent = False
        # `type` may carry SOCK_NONBLOCK and SOCK_CLOEXEC beside the kind.
        self._stream = _type(self) & 0xF == _STREAM
        if type != -1 and type & getattr(_stdlib, "SOCK_NONBLOCK", 0):
            self._timeout_s = 0.0
        _setblocking(self, False)

    # Waiting. Everything below goes through these two.

    def _watched(self) -> FdWatch:
        watch = self._watch
        if watch is None:
            fd = self.fileno()
            if fd < 0:
                raise OSError(errno.EBADF, os.strerror(errno.EBADF))
            watch = self._watch = watch_fd(fd)
        return watch

    def _until_readable(self, call: Callable[..., T], *args: object, flags: int = 0) -> T:
        deadline: float | None = None
        again = False
        while True:
            try:
                return call(self, *args)
            except BlockingIOError:
                if self._answers_at_once(flags):
                    raise
            watch = self._watched()
            if not flags & _ASIDE:
                watch.readable = False
            deadline = self._wait(watch.wait_readable, deadline, again)
            again = True

    def _until_writable(self, call: Callable[..., T], *args: object, flags: int = 0) -> T:
        deadline: float | None = None
        again = False
        while True:
            try:
                return call(self, *args)
            except BlockingIOError:
                if self._answers_at_once(flags):
                    raise
            deadline = self._wait(self._watched().wait_writable, deadline, again)
            again = True

    def _answers_at_once(self, flags: int) -> bool:
        # With a timeout the stdlib waits despite the flag.
        timeout_s = self._timeout_s
        return timeout_s == 0.0 or (timeout_s is None and flags & _stdlib.MSG_DONTWAIT != 0)

    def _wait(
        self, wait: Callable[[float | None, bool], None], deadline: float | None, again: bool
    ) -> float | None:
        # `again`: woken in this very call before, and in vain.
        timeout_s = self._timeout_s
        if timeout_s is None:
            wait(None, again)
            return None
        now = monotonic()
        if deadline is None:
            deadline = now + timeout_s
        try:
            wait(deadline - now, again)
        except TimedOut as exc:
            # A Timeout scope raises itself, a subclass: that is the caller's bound, not ours.
            if type(exc) is TimedOut:
                raise TimeoutError("timed out") from None
            raise
        return deadline

    def may_be_readable(self) -> bool:
        """False when nothing has arrived since the last receive, as far as the hub has heard.

        Does not park and asks nobody: an arrival after the hub's last poll is not seen.
        """
        watch = self._watch
        return watch is None or watch.readable or watch.gone

    # Receiving.

    def recv(self, bufsize: int, flags: int = 0, /) -> bytes:
        """As in the stdlib. Parks until there is something to receive."""
        watch = self._watch
        if flags or watch is None or self._timeout_s is not None or not self._stream:
            return self._until_readable(_recv, bufsize, flags, flags=flags)
        return watch.read(bufsize)

    def stream_calls(self) -> tuple[Callable[[int], bytes], Callable[[bytes], None]]:
        """`recv` and `sendall` without flags and timeouts, for a connected stream's owner.

        One call less per message than the socket's own. They end with EBADF when it is closed.
        """
        watch = self._watched()
        return watch.read, watch.write_all

    def recv_into(self, buffer: WriteableBuffer, nbytes: int = 0, flags: int = 0) -> int:
        """As in the stdlib. Parks."""
        return self._until_readable(_base.recv_into, buffer, nbytes, flags, flags=flags)

    def recvfrom(self, bufsize: int, flags: int = 0, /) -> tuple[bytes, Address]:
        """As in the stdlib. Parks."""
        return self._until_readable(_base.recvfrom, bufsize, flags, flags=flags)

    def recvfrom_into(
        self, buffer: WriteableBuffer, nbytes: int = 0, flags: int = 0
    ) -> tuple[int, Address]:
        """As in the stdlib. Parks."""
        return self._until_readable(_base.recvfrom_into, buffer, nbytes, flags, flags=flags)

    def recvmsg(
        self, bufsize: int, ancbufsize: int = 0, flags: int = 0, /
    ) -> tuple[bytes, AncillaryData, int, Address]:
        """As in the stdlib. Parks."""
        return self._until_readable(_base.recvmsg, bufsize, ancbufsize, flags, flags=flags)

    def recvmsg_into(
        self, buffers: Iterable[WriteableBuffer], ancbufsize: int = 0, flags: int = 0, /
    ) -> tuple[int, AncillaryData, int, Address]:
        """As in the stdlib. Parks."""
        return self._until_readable(
            _base.recvmsg_into, list(buffers), ancbufsize, flags, flags=flags
        )

    def accept(self) -> tuple[socket, Address]:
        """As in the stdlib. Parks until somebody connects."""
        accept = cast("Callable[..., tuple[int, Address]]", _base._accept)  # type: ignore[attr-defined] # noqa: SLF001 - as the stdlib's class itself does
        fd, address = self._until_readable(accept)
        return socket(_family(self), _type(self), _proto(self), fileno=fd), address

    # Sending.

    def send(self, data: ReadableBuffer, flags: int = 0, /) -> int:
        """As in the stdlib. Parks until the kernel takes some of `data`."""
        return self._until_writable(_send, data, flags, flags=flags)

    def sendall(self, data: ReadableBuffer, flags: int = 0, /) -> None:
        """As in the stdlib. Parks until the kernel has taken all of `data`."""
        try:
            sent = _send(self, data, flags)
        except BlockingIOError:
            sent = 0
        view = data if isinstance(data, bytes) else memoryview(data).cast("B")
        if sent == len(view):
            return
        # One deadline for all of it, as the stdlib's has.
        timeout_s = self._timeout_s
        deadline = None if timeout_s is None else monotonic() + timeout_s
        rest = memoryview(view)[sent:]
        again = False
        while rest:
            try:
                rest = rest[_send(self, rest, flags) :]
            except BlockingIOError:
                if self._answers_at_once(flags):
                    raise
                self._wait(self._watched().wait_writable, deadline, again)
                again = True

    def sendto(self, *args: Any) -> int:  # noqa: ANN401 - (data, address) or (data, flags, address)
        """As in the stdlib. Parks."""
        flags = args[1] if len(args) > 2 else 0
        return self._until_writable(cast("Callable[..., int]", _base.sendto), *args, flags=flags)

    def sendmsg(self, *args: Any) -> int:  # noqa: ANN401 - the stdlib's positional parameters
        """As in the stdlib. Parks."""
        flags = args[2] if len(args) > 2 else 0
        return self._until_writable(cast("Callable[..., int]", _base.sendmsg), *args, flags=flags)

    def sendfile(self, file: Any, offset: int = 0, count: int | None = None) -> int:  # noqa: ANN401 - any file
        """As in the stdlib: `os.sendfile` where the file allows it. Parks."""
        if self._timeout_s == 0.0:
            raise ValueError("non-blocking sockets are not supported")
        self._check_sendfile_params(file, offset, count)  # type: ignore[attr-defined]
        try:
            fileno = file.fileno()
        except (AttributeError, OSError):
            return cast("int", self._sendfile_use_send(file, offset, count))  # type: ignore[attr-defined]
        total = 0
        again = False
        try:
            while count is None or total < count:
                want = SENDFILE_BYTES if count is None else min(SENDFILE_BYTES, count - total)
                try:
                    sent = os.sendfile(self.fileno(), fileno, offset + total, want)
                except BlockingIOError:
                    self._wait(self._watched().wait_writable, None, again)
                    again = True
                    continue
                except OSError as exc:
                    if total == 0 and exc.errno in (errno.EINVAL, errno.ENOSYS):
                        # Not a file the kernel can map.
                        return cast("int", self._sendfile_use_send(file, offset, count))  # type: ignore[attr-defined]
                    raise
                if sent == 0:
                    break
                total += sent
        finally:
            if total:
                file.seek(offset + total)
        return total

    # Connecting and closing.

    def connect(self, address: Address, /) -> None:
        """As in the stdlib. Parks until the connection stands; names resolve in a worker."""
        code = self._connect(address)
        if code == 0:
            return
        if code in _IN_PROGRESS:
            if self._timeout_s == 0.0:
                raise BlockingIOError(code, os.strerror(code))
            raise TimeoutError("timed out")
        raise OSError(code, f"{os.strerror(code)}: could not connect to {address!r}")

    def connect_ex(self, address: Address, /) -> int:
        """As in the stdlib. Parks."""
        return self._connect(address)

    def _connect(self, address: Address) -> int:
        # Not connect_ex(), which a subclass may build upon connect(): TLS sockets do.
        address = self._resolved(address)
        code = _base.connect_ex(self, address)
        if code not in _IN_PROGRESS or self._timeout_s == 0.0:
            return code
        deadline: float | None = None
        while True:
            try:
                deadline = self._wait(self._watched().wait_writable, deadline, False)
            except TimeoutError as exc:
                if isinstance(exc, TimedOut):
                    raise
                return code
            error = self.getsockopt(_stdlib.SOL_SOCKET, _stdlib.SO_ERROR)
            if error:
                return error
            # An edge may be left over from another descriptor of the same number, so writable is
            # not yet connected: only having a peer is.
            try:
                self.getpeername()
            except OSError as exc:
                if exc.errno != errno.ENOTCONN:
                    return exc.errno or errno.EIO
                continue
            return 0

    def _resolved(self, address: Address) -> Address:
        if self.family not in (_stdlib.AF_INET, _stdlib.AF_INET6) or not isinstance(address, tuple):
            return address
        host, port, *rest = address
        found = getaddrinfo(host, port, self.family, self.type & 0xF, self.proto)
        resolved = found[0][4]
        return (*resolved[:2], *rest) if rest else resolved

    def _forget(self) -> None:
        watch, self._watch = self._watch, None
        if watch is not None:
            watch.close()

    def _real_close(self, *args: Any) -> None:  # noqa: ANN401 - the stdlib passes its base class
        # Before the descriptor goes: its number may come round again at once.
        self._forget()
        super()._real_close(*args)  # type: ignore[misc]

    def detach(self) -> int:
        """As in the stdlib: what a caller takes for blocking is so from now on for everybody.

        Whoever takes the descriptor over finds what the caller set, not what we made of it: a pipe
        of `multiprocessing` is such a descriptor.
        """
        self._forget()
        if self._timeout_s is None and not self._lent:
            # One that is closed already is detached all the same.
            with contextlib.suppress(OSError):
                _setblocking(self, True)
        return super().detach()

    def lend(self, lent: bool) -> None:
        """Say that `detach()` will leave the descriptor to another green socket, or no longer."""
        self._lent = lent

    def shutdown(self, how: int, /) -> None:
        """As in the stdlib."""
        super().shutdown(how)

    def dup(self) -> socket:
        """As in the stdlib."""
        fd = os.dup(self.fileno())
        os.set_inheritable(fd, False)
        twin = socket(self.family, self.type, self.proto, fileno=fd)
        twin.settimeout(self._timeout_s)
        return twin

    # Blocking or not, as far as the caller can tell.

    def settimeout(self, value: float | None, /) -> None:
        """As in the stdlib: None waits for ever, 0 never, else seconds per call."""
        if value is not None:
            # As strict as the stdlib: float() would take text.
            value = value if isinstance(value, float) else float(operator.index(value))
            if not value >= 0.0:
                raise ValueError("Timeout value out of range")
        self._keep_non_blocking()
        self._timeout_s = value

    def gettimeout(self) -> float | None:
        """As in the stdlib."""
        return self._timeout_s

    def setblocking(self, flag: bool, /) -> None:
        """As in the stdlib: False is a timeout of 0, True none."""
        self._keep_non_blocking()
        self._timeout_s = None if flag else 0.0

    def _keep_non_blocking(self) -> None:
        # What the stdlib tells the kernel here stays as it is for us; but a descriptor that is
        # closed is found out, and one that a detached twin left blocking is put right.
        _setblocking(self, False)

    def getblocking(self) -> bool:
        """As in the stdlib."""
        return self._timeout_s != 0.0

    @property
    def timeout(self) -> float | None:
        """As in the stdlib: what `gettimeout()` says."""
        return self._timeout_s


def socketpair(
    family: int | None = None, type: int = _stdlib.SOCK_STREAM, proto: int = 0
) -> tuple[socket, socket]:
    """As `socket.socketpair`. Does not park."""
    left, right = _stdlib.socketpair(family, type, proto)
    return _adopt(left), _adopt(right)


def fromfd(fd: int, family: int, type: int, proto: int = 0) -> socket:
    """As `socket.fromfd`: a socket on a duplicate of `fd`. Does not park."""
    return socket(family, type, proto, fileno=os.dup(fd))


def _adopt(sock: _stdlib.socket) -> socket:
    return socket(sock.family, sock.type, sock.proto, fileno=sock.detach())


def create_connection(
    address: tuple[str | None, int],
    timeout: float | object | None = _stdlib._GLOBAL_DEFAULT_TIMEOUT,  # type: ignore[attr-defined] # noqa: SLF001 - the stdlib's own default
    source_address: tuple[str, int] | None = None,
    *,
    all_errors: bool = False,
) -> socket:
    """As `socket.create_connection`. Parks; names resolve in a worker."""
    host, port = address
    errors: list[OSError] = []
    for family, kind, proto, _, sockaddr in getaddrinfo(host, port, 0, _stdlib.SOCK_STREAM):
        sock = socket(family, kind, proto)
        try:
            if timeout is not _stdlib._GLOBAL_DEFAULT_TIMEOUT:  # type: ignore[attr-defined] # noqa: SLF001
                sock.settimeout(cast("float | None", timeout))
            if source_address:
                sock.bind(source_address)
            sock.connect(sockaddr)
        except OSError as exc:
            sock.close()
            if is_interrupt(exc):
                # The bound that a caller has set, not this address's failure.
                raise
            if not all_errors:
                errors.clear()
            errors.append(exc)
        except BaseException:
            sock.close()
            raise
        else:
            return sock
    if not errors:
        raise OSError(f"{host!r} has no address to connect to")
    if all_errors:
        raise ExceptionGroup("create_connection failed", errors)
    raise errors[0]


def create_server(
    address: tuple[str, int],
    *,
    family: int = _stdlib.AF_INET,
    backlog: int | None = None,
    reuse_port: bool = False,
    dualstack_ipv6: bool = False,
) -> socket:
    """As `socket.create_server`. Does not park; a host name there would block, as `bind` does."""
    server = _stdlib.create_server(
        address,
        family=family,
        backlog=backlog,
        reuse_port=reuse_port,
        dualstack_ipv6=dualstack_ipv6,
    )
    return _adopt(server)
