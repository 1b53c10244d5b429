"""Convenience: listen, connect, serve, wrap_ssl with Eventlet's parameters.

Place     eventlet, over green sockets. `verdant.net` has the servers with limits and drain.
Differs   what a handler raises after `serve` has returned ends that handler alone.
"""

from __future__ import annotations

import ssl as _stdlib_ssl
import warnings
from socket import AF_INET, AF_INET6, SO_REUSEADDR, SO_REUSEPORT, SOCK_STREAM, SOL_SOCKET
from typing import TYPE_CHECKING, Any

from verdant import core
from verdant.eventlet.greenpool import GreenPool
from verdant.green.socket import socket
from verdant.patcher import import_green

if TYPE_CHECKING:
    from collections.abc import Callable

    from verdant.eventlet.greenthread import GreenThread

__all__ = ["StopServe", "connect", "listen", "serve", "wrap_ssl"]


class ReuseRandomPortWarning(Warning):
    """A port of the system's choice is asked for, and to be shared with other processes."""


class ReusePortUnavailableWarning(Warning):
    """This system does not let processes share a port."""


class StopServe(Exception):
    """Raised by a handler to end `serve` in order."""


def connect(addr: Any, family: int = AF_INET, bind: Any = None) -> socket:
    """A green socket connected to `addr`, from the local address `bind`. Parks. Raises OSError."""
    sock = socket(family, SOCK_STREAM)
    try:
        if bind is not None:
            sock.bind(bind)
        sock.connect(addr)
    except BaseException:
        sock.close()
        raise
    return sock


def listen(
    addr: Any,
    family: int = AF_INET,
    backlog: int = 50,
    reuse_addr: bool = True,
    reuse_port: bool | None = None,
) -> socket:
    """A green socket that listens on `addr`. Does not park. Raises OSError.

    `backlog`: connections that may wait to be accepted. `reuse_port`: share the port with other
    processes; left out, they may if it was named.
    """
    sock = socket(family, SOCK_STREAM)
    try:
        if reuse_addr:
            sock.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)
        if family in (AF_INET, AF_INET6) and addr[1] == 0:
            if reuse_port:
                warnings.warn(
                    "another process may get the same port of the system's choice",
                    ReuseRandomPortWarning,
                    stacklevel=2,
                )
        elif reuse_port is None:
            reuse_port = family in (AF_INET, AF_INET6)
        if reuse_port:
            _share_port(sock)
        sock.bind(addr)
        sock.listen(backlog)
    except BaseException:
        sock.close()
        raise
    return sock


def _share_port(sock: socket) -> None:
    try:
        sock.setsockopt(SOL_SOCKET, SO_REUSEPORT, 1)
    except OSError as exc:
        warnings.warn(
            f"this system does not let processes share a port: {exc}",
            ReusePortUnavailableWarning,
            stacklevel=3,
        )


def serve(sock: socket, handle: Callable[[socket, Any], Any], concurrency: int = 1000) -> None:
    """Call `handle(connection, address)` in a green thread per connection that `sock` accepts.

    The connection is closed when it returns. What it raises is raised here and ends the server;
    `StopServe` ends it in order. `concurrency`: how many run at once; others wait to be accepted.
    Parks.
    """
    pool = GreenPool(concurrency)
    server = core.current_thread()
    # Emptied when the server is told, or has ended: it is told once.
    serving = [server]

    def ended(thread: GreenThread, connection: socket) -> None:
        connection.close()
        if isinstance(thread.exception, Exception) and serving:
            core.interrupt(serving.pop(), thread.exception)

    try:
        while True:
            connection, address = sock.accept()
            pool.spawn(handle, connection, address).link(ended, connection)
    except StopServe:
        return
    finally:
        serving.clear()


def wrap_ssl(sock: Any, *args: Any, **kwargs: Any) -> Any:
    """`sock` as a green TLS socket; the parameters of Python's former `ssl.wrap_socket`. Parks.

    Certificates are not checked unless `cert_reqs` says so: for clients that should, use
    `ssl.create_default_context()` of `verdant.eventlet.green.ssl`.
    """
    return _wrap_socket(sock, *args, **kwargs)


def _wrap_socket(
    sock: Any,
    keyfile: str | None = None,
    certfile: str | None = None,
    server_side: bool = False,
    cert_reqs: int = _stdlib_ssl.CERT_NONE,
    ssl_version: int | None = None,
    ca_certs: str | None = None,
    do_handshake_on_connect: bool = True,
    suppress_ragged_eofs: bool = True,
    ciphers: str | None = None,
    server_hostname: str | None = None,
) -> Any:
    ssl = import_green("ssl")
    if ssl_version is None:
        ssl_version = ssl.PROTOCOL_TLS_SERVER if server_side else ssl.PROTOCOL_TLS_CLIENT
    context = ssl.SSLContext(ssl_version)
    context.check_hostname = False
    context.verify_mode = cert_reqs
    if ca_certs is not None:
        context.load_verify_locations(ca_certs)
    if certfile is not None:
        context.load_cert_chain(certfile, keyfile)
    if ciphers is not None:
        context.set_ciphers(ciphers)
    return context.wrap_socket(
        sock,
        server_side=server_side,
        do_handshake_on_connect=do_handshake_on_connect,
        suppress_ragged_eofs=suppress_ragged_eofs,
        server_hostname=server_hostname,
    )
