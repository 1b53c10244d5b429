"""Datagrams: syslog and GELF over UDP.

Place     logs/inputs, on a green socket.
Promise   none to the sender: UDP has no answer, and the kernel drops what is not read in time.
          What was read and does not fit is dropped, and counted. No datagram ends the receiver.
Not here  meaning (syslog.py, gelf.py).
"""

from __future__ import annotations

import contextlib
import logging
import socket as _stdlib
import time
from typing import TYPE_CHECKING

from verdant.address import TcpAddress, parse_address
from verdant.core import GreenThread, monotonic, sleep, spawn
from verdant.green.dns import getaddrinfo
from verdant.green.socket import socket
from verdant.logs.errors import BadInput, InputUnusable
from verdant.logs.inputs.gelf import Chunks, parse_gelf, unpack_gelf
from verdant.logs.inputs.syslog import parse_syslog

if TYPE_CHECKING:
    from verdant.logs.config import InputConfig
    from verdant.logs.inputs.intake import Intake

__all__ = ["DatagramInput"]

# The largest that UDP carries.
DATAGRAM_BYTES_MAX = 65_535
# Asked of the kernel, which grants up to net.core.rmem_max: a burst while others run.
RECEIVE_BUFFER_BYTES = 4 * 1024 * 1024
# Datagrams in a row before others run.
DATAGRAMS_PER_TURN = 64

_log = logging.getLogger("verdant.logs")


class DatagramInput:
    """Receives on `config.bind` into `intake`. Raises `InputUnusable`."""

    def __init__(self, intake: Intake, config: InputConfig) -> None:
        self._intake = intake
        self._config = config
        self._chunks = Chunks()
        self._socket = _bound(config.bind)
        self._take = self._take_gelf if config.kind == "gelf-udp" else self._take_syslog
        self._thread: GreenThread[None] | None = None
        host, port = self._socket.getsockname()[:2]
        self.address = TcpAddress(host, port)

    def start(self) -> None:
        """Begin to receive. Does not park."""
        self._thread = spawn(self._receive, name=f"{self._config.kind} receiver")

    def stop(self) -> None:
        """Stop receiving. Parks for a moment."""
        if self._thread is not None:
            self._thread.cancel()
            self._thread.join()
        self._socket.close()

    def _receive(self) -> None:
        in_a_row = 0
        while True:
            try:
                data, sender = self._socket.recvfrom(DATAGRAM_BYTES_MAX)
            except OSError as exc:
                # An ICMP message about something sent before; we send nothing.
                _log.debug("receiving a datagram failed: %s", exc)
                sleep(0)
                continue
            host = sender[0] if isinstance(sender, tuple) else "-"
            try:
                self._take(data, str(host))
            except BadInput as exc:
                self._intake.counts.malformed += 1
                _log.debug("a datagram from %s: %s", host, exc)
            except Exception:  # noqa: BLE001 - one datagram must not end the receiver; it is told
                self._intake.counts.malformed += 1
                _log.exception("a datagram from %s cannot be read: a bug", host)
            in_a_row += 1
            if in_a_row >= DATAGRAMS_PER_TURN:
                in_a_row = 0
                sleep(0)

    def _take_syslog(self, data: bytes, sender: str) -> None:
        if len(data) > self._config.line_bytes_max:
            self._intake.counts.oversized += 1
            data = data[: self._config.line_bytes_max]
        parsed = parse_syslog(data, time.time_ns(), sender, self._config.app)
        if not parsed.well_formed:
            self._intake.counts.malformed += 1
        self._intake.offer(parsed.record)

    def _take_gelf(self, data: bytes, sender: str) -> None:
        try:
            message = self._chunks.feed(data, sender, monotonic())
        finally:
            # Never whole is malformed too.
            self._intake.counts.malformed += self._chunks.lost
            self._chunks.lost = 0
        if message is None:
            return
        if len(message) > self._config.line_bytes_max:
            self._intake.counts.oversized += 1
            return
        message = unpack_gelf(message, self._config.line_bytes_max)
        self._intake.offer(parse_gelf(message, time.time_ns(), sender, self._config.app))


def _bound(address: str) -> socket:
    where = parse_address(address)
    if not isinstance(where, TcpAddress):
        raise InputUnusable(f"cannot receive datagrams on {address}: give a host and a port")
    host = "::" if where.host == "*" else where.host
    receiver: socket | None = None
    try:
        found = getaddrinfo(host, where.port, 0, _stdlib.SOCK_DGRAM, 0, _stdlib.AI_PASSIVE)
        family, _, _, _, sockaddr = found[0]
        receiver = socket(family, _stdlib.SOCK_DGRAM)
        if where.host == "*":
            receiver.setsockopt(_stdlib.IPPROTO_IPV6, _stdlib.IPV6_V6ONLY, 0)
        with contextlib.suppress(OSError):
            receiver.setsockopt(_stdlib.SOL_SOCKET, _stdlib.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
        receiver.bind(sockaddr)
    except OSError as exc:
        if receiver is not None:
            receiver.close()
        raise InputUnusable(
            f"cannot receive datagrams on {address} ({exc.strerror}): stop who does, or choose "
            "another port"
        ) from exc
    return receiver
