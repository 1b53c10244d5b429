"""Listener and connector: sockets made ready for their job.

Place     net, on green sockets; addresses are floor 0's values.
Promise   a port in use, or not allowed, is an error that names the address and the remedy.
Not here  what happens on a connection (server.py).
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket as _stdlib
import stat
from typing import TYPE_CHECKING, cast

from verdant.address import TcpAddress, UnixAddress, parse_address
from verdant.core import monotonic
from verdant.errors import VerdantError
from verdant.green.dns import getaddrinfo
from verdant.green.socket import create_connection, socket
from verdant.green.ssl import SSLSocket
from verdant.net.stream import Stream
from verdant.net.tls import TlsStream

if TYPE_CHECKING:
    import ssl

__all__ = ["AddressUnusable", "bound_address", "connect", "listen", "with_tls"]

# Connections the kernel completes for us while we are busy. More than a burst of clients opens
# within one turn of a loaded hub; the kernel caps it at net.core.somaxconn.
BACKLOG_CONNECTIONS = 4096

CONNECT_TIMEOUT_S_DEFAULT = 10.0

Address = str | tuple[str, int] | TcpAddress | UnixAddress


class AddressUnusable(VerdantError):
    """Raised when an address cannot be listened on. The operator's fault; the text says why."""

    code = "net-address-unusable"


def _parsed(address: Address) -> TcpAddress | UnixAddress:
    if isinstance(address, tuple):
        return TcpAddress(*address)
    return parse_address(address) if isinstance(address, str) else address


def listen(
    address: Address,
    *,
    backlog: int = BACKLOG_CONNECTIONS,
    reuse_port: bool = False,
    tls: ssl.SSLContext | None = None,
    unix_mode: int | None = None,
) -> socket:
    """A listening green socket.

    `address`: "127.0.0.1:8000", "[::1]:8000", "*:8000" (IPv4 and IPv6), "unix:/path", or a pair;
    port 0 takes a free one. `backlog`: connections that may wait to be accepted. `reuse_port`:
    let several processes share the port (socket(7), SO_REUSEPORT). `tls`: a server's context
    (`tls_server_context`): then servers on this listener speak TLS, and a bare `accept()` gives
    an `SSLSocket` that shakes hands at its first use. `unix_mode`: permissions of a unix socket's
    file, such as 0o600; who may write it may connect. The umask's when left out.
    Raises `AddressUnusable`. Parks only while a host name is looked up.
    """
    where = _parsed(address)
    try:
        if isinstance(where, UnixAddress):
            listener = _listen_unix(where.path, backlog, unix_mode)
        else:
            listener = _listen_tcp(where, backlog, reuse_port)
    except OSError as exc:
        raise AddressUnusable(f"cannot listen on {where}: {_reason(exc)}") from exc
    return listener if tls is None else with_tls(listener, tls)


def with_tls(listener: socket, context: ssl.SSLContext) -> socket:
    """A listener that is open already, inherited from another process, say, as one with TLS.

    It takes the place of `listener`, as `listen(tls=context)` would have made it. Does not park.
    """
    # The class as the stdlib's own code makes one, without a word to the context, which may be in
    # use elsewhere. No handshake in `accept()`: a slow client would keep all others waiting.
    try:
        wrapped = SSLSocket._create(  # noqa: SLF001 - what wrap_socket calls
            listener, server_side=True, do_handshake_on_connect=False, context=context
        )
    except BaseException:
        listener.close()
        raise
    return cast("socket", wrapped)


def _reason(exc: OSError) -> str:
    if exc.errno == errno.EADDRINUSE:
        return "another process does already; stop it, or choose another port"
    if exc.errno == errno.EACCES:
        return "not permitted; ports below 1024 need root or CAP_NET_BIND_SERVICE"
    if exc.errno == errno.EADDRNOTAVAIL:
        return "this machine has no such address"
    return exc.strerror or str(exc)


def _listen_tcp(where: TcpAddress, backlog: int, reuse_port: bool) -> socket:
    both_families = where.host == "*" and _stdlib.has_ipv6
    if both_families:
        family, sockaddr = int(_stdlib.AF_INET6), ("::", where.port)
    else:
        host = "0.0.0.0" if where.host == "*" else where.host
        found = getaddrinfo(host, where.port, 0, _stdlib.SOCK_STREAM, 0, _stdlib.AI_PASSIVE)
        family, sockaddr = found[0][0], found[0][4][:2]
    listener = socket(family, _stdlib.SOCK_STREAM)
    try:
        listener.setsockopt(_stdlib.SOL_SOCKET, _stdlib.SO_REUSEADDR, 1)
        if reuse_port:
            listener.setsockopt(_stdlib.SOL_SOCKET, _stdlib.SO_REUSEPORT, 1)
        if family == _stdlib.AF_INET6:
            listener.setsockopt(_stdlib.IPPROTO_IPV6, _stdlib.IPV6_V6ONLY, int(not both_families))
        listener.bind(sockaddr)
        listener.listen(backlog)
    except BaseException:
        listener.close()
        raise
    return listener


def _listen_unix(path: str, backlog: int, mode: int | None) -> socket:
    listener = socket(_stdlib.AF_UNIX, _stdlib.SOCK_STREAM)
    try:
        _remove_dead_unix_socket(path)
        listener.bind(path)
        if mode is not None:
            # Before listen(): until then nobody can connect, whatever the umask allowed.
            os.chmod(path, mode)
        listener.listen(backlog)
    except BaseException:
        listener.close()
        raise
    return listener


def _remove_dead_unix_socket(path: str) -> None:
    # A server that was killed leaves its socket file behind; nobody listens there any more.
    try:
        if not stat.S_ISSOCK(os.stat(path).st_mode):
            return
    except FileNotFoundError:
        return
    probe = socket(_stdlib.AF_UNIX, _stdlib.SOCK_STREAM)
    try:
        if probe.connect_ex(path) == errno.ECONNREFUSED:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
    finally:
        probe.close()


def bound_address(listener: socket) -> TcpAddress | UnixAddress:
    """Where a listener really listens: its port when 0 was asked for. Does not park."""
    name = listener.getsockname()
    if isinstance(name, tuple):
        return TcpAddress(name[0], name[1])
    return UnixAddress(str(name))


def connect(
    address: Address,
    *,
    timeout_s: float | None = CONNECT_TIMEOUT_S_DEFAULT,
    tls: ssl.SSLContext | None = None,
    server_hostname: str | None = None,
) -> Stream:
    """A stream to `address`, which is written as for `listen`.

    `timeout_s`: seconds for the connection to stand, handshake included; None waits as long as the
    kernel does. `tls`: a client's context (`tls_client_context`): then the stream is a `TlsStream`,
    and the certificate must be for `server_hostname`, or for the address's host without one.
    Raises OSError as the stdlib's connect does (`ssl.SSLError` for a handshake that failed). Parks.
    """
    where = _parsed(address)
    started = monotonic()
    sock, peer = _connected(where, timeout_s)
    if tls is None:
        return Stream(sock, peer)
    name = server_hostname
    if name is None and isinstance(where, TcpAddress):
        name = where.host
    try:
        stream = TlsStream(sock, peer, tls, server_hostname=name)
    except BaseException:
        sock.close()
        raise
    try:
        stream.handshake(None if timeout_s is None else timeout_s - (monotonic() - started))
    except BaseException:
        stream.close()
        raise
    return stream


def _connected(where: TcpAddress | UnixAddress, timeout_s: float | None) -> tuple[socket, object]:
    if isinstance(where, UnixAddress):
        peer: object = where.path
        sock = socket(_stdlib.AF_UNIX, _stdlib.SOCK_STREAM)
        try:
            sock.settimeout(timeout_s)
            sock.connect(where.path)
        except BaseException:
            sock.close()
            raise
    else:
        peer = (where.host, where.port)
        sock = create_connection((where.host, where.port), timeout_s)
        # Heads are sent whole; waiting for more to send would only delay them.
        sock.setsockopt(_stdlib.IPPROTO_TCP, _stdlib.TCP_NODELAY, 1)
    sock.settimeout(None)
    return sock, peer
