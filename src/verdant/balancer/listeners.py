"""Listeners: the listening sockets of all workers, which the supervisor keeps open.

Place     balancer, on net; supervisor.py opens them and lends them to workers by descriptor.
Promise   a connection that the kernel has completed is accepted by somebody, whichever workers
          come, go or are killed: as long as the balancer runs none of its sockets is closed whose
          address is still configured.
Not here  accepting (front.py).

    127.0.0.1:8000 ──▶ socket 1 ──▶ worker 1, its replacement, its next generation
                   └─▶ socket 2 ──▶ worker 2, …

With one socket for all, the kernel wakes every worker for each connection, and the one that is
awake takes a burst of them whole. With a socket for each (SO_REUSEPORT) it shares connections out
evenly, but a socket that its worker closes takes the connections in its queue with it. So: a socket
for each, opened here, inherited there. A worker closes its copy; the queue stays for the next one.
The price: while a killed worker is being replaced, its share of new connections waits, half a
second or so.

Sockets that systemd opened (sd_listen_fds(3)) are one for each address, and all workers share them;
so are unix sockets, which have no SO_REUSEPORT.
"""

from __future__ import annotations

import contextlib
import socket as _stdlib
from typing import TYPE_CHECKING

from verdant.address import TcpAddress, UnixAddress, parse_address
from verdant.green.socket import socket
from verdant.net import AddressUnusable, bound_address, listen

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["Listeners"]


class Listeners:
    """Listening sockets by address. `activated`: sockets that somebody else opened for us."""

    def __init__(self, activated: Iterable[socket] = ()) -> None:
        self._sockets: dict[str, list[socket]] = {}
        self._activated = [(bound_address(sock), sock) for sock in activated]

    def open(self, addresses: Sequence[str], count: int) -> None:
        """Have `count` sockets, or a shared one, for each address. Raises `AddressUnusable`.

        Then it has opened nothing. Parks only while a host name is looked up.
        """
        opened: dict[str, list[socket]] = {}
        try:
            for address in addresses:
                if address not in self._sockets:
                    opened[address] = self._open(address, count)
                else:
                    self._add(self._sockets[address], address, count)
        except BaseException:
            for sockets in opened.values():
                _close(sockets)
            raise
        self._sockets.update(opened)

    def _open(self, address: str, count: int) -> list[socket]:
        where = parse_address(address)
        given = self._given(where)
        if given is not None:
            return [given]
        if isinstance(where, UnixAddress):
            return [listen(where)]
        _refuse_used(where)
        first = listen(where, reuse_port=True)
        sockets = [first]
        try:
            self._add(sockets, address, count)
        except BaseException:
            _close(sockets)
            raise
        return sockets

    @staticmethod
    def _add(sockets: list[socket], address: str, count: int) -> None:
        where = parse_address(address)
        if not sockets[0].getsockopt(_stdlib.SOL_SOCKET, _stdlib.SO_REUSEPORT):
            return
        if isinstance(where, TcpAddress) and len(sockets) < count:
            # Port 0 was a wish for any; the others need the one that it came to.
            bound = bound_address(sockets[0])
            assert isinstance(bound, TcpAddress)
            same = TcpAddress(where.host, bound.port)
            while len(sockets) < count:
                sockets.append(listen(same, reuse_port=True))

    def _given(self, where: TcpAddress | UnixAddress) -> socket | None:
        for bound, sock in self._activated:
            if bound == where or _any_host(bound) == _any_host(where):
                return sock
        return None

    def close_others(self, addresses: Iterable[str]) -> None:
        """Close the sockets of all addresses but these. Does not park."""
        for address in set(self._sockets).difference(addresses):
            _close(self._sockets.pop(address))

    def share(self, addresses: Iterable[str], number: int, workers: int) -> list[socket]:
        """The sockets of worker `number` (from 1) of so many: one for each address, or more.

        Sockets of workers that are no more go to those that are.
        """
        shared = []
        for address in addresses:
            sockets = self._sockets[address]
            if len(sockets) == 1:
                shared.append(sockets[0])
            else:
                shared += sockets[number - 1 :: workers]
        return shared

    def bound(self, addresses: Iterable[str]) -> list[TcpAddress | UnixAddress]:
        """Where these addresses really are: ports when 0 was asked for."""
        return [bound_address(self._sockets[address][0]) for address in addresses]


def _any_host(where: TcpAddress | UnixAddress) -> object:
    if isinstance(where, TcpAddress) and where.host in ("*", "0.0.0.0", "::"):
        return where.port
    return where


def _refuse_used(where: TcpAddress) -> None:
    # SO_REUSEPORT would let us in beside another balancer of the same user. Without it the kernel
    # says that somebody listens; we do not listen ourselves, so nobody is accepted and dropped.
    if where.port == 0:
        return
    family = _stdlib.AF_INET6 if ":" in where.host else _stdlib.AF_INET
    with contextlib.closing(socket(family, _stdlib.SOCK_STREAM)) as probe:
        probe.setsockopt(_stdlib.SOL_SOCKET, _stdlib.SO_REUSEADDR, 1)
        try:
            probe.bind(("0.0.0.0" if where.host == "*" else where.host, where.port))
        except OSError as exc:
            # The words for it are listen()'s.
            listen(where).close()
            raise AddressUnusable(f"cannot listen on {where}: {exc.strerror}") from exc


def _close(sockets: list[socket]) -> None:
    for sock in sockets:
        sock.close()
