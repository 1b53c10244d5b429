"""Opening: the inputs of one log server, from their configuration to their end.

Place     logs/inputs, the room's front; server/service.py runs it.
Promise   all inputs are bound or none. `stop()` takes no more, lets what was taken reach the disk,
          and returns then.
Not here  which settings are safe (config.py refuses the others).
"""

from __future__ import annotations

import socket as _stdlib
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from verdant.logs.errors import InputUnusable
from verdant.logs.inputs.datagrams import DatagramInput
from verdant.logs.inputs.intake import Intake
from verdant.logs.inputs.streams import handle_gelf, handle_relp, handle_syslog
from verdant.logs.inputs.tokens import parse_tokens
from verdant.net import Server, bound_address, listen, tls_server_context

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from verdant.address import TcpAddress, UnixAddress
    from verdant.green.socket import socket
    from verdant.logs.codec import Batch, Status
    from verdant.logs.config import InputConfig, LogServerConfig
    from verdant.net import Stream

__all__ = ["Inputs"]

# What requests and messages under way get to be stored when the server stops.
STOP_GRACE_S = 1.0

_HANDLERS: dict[str, Callable[[Intake, InputConfig, Stream], None]] = {
    "syslog": handle_syslog,
    "relp": handle_relp,
    "gelf": handle_gelf,
}


class _Running(Protocol):
    def start(self) -> None: ...

    def stop(self) -> object: ...


class _Serving:
    """A server with a grace of its own, so that all inputs stop alike."""

    def __init__(self, server: _Stoppable) -> None:
        self._server = server

    def start(self) -> None:
        self._server.start()

    def stop(self) -> object:
        return self._server.stop(STOP_GRACE_S)


class _Stoppable(Protocol):
    def start(self) -> None: ...

    def stop(self, grace_s: float = 0.0) -> int: ...


class Inputs:
    """The inputs of `config`, which store through `commit`.

    `addresses`: where they listen, in the configuration's order; `intakes`: likewise, with their
    counts. Raises `InputUnusable`, `AddressUnusable`.
    """

    def __init__(
        self, config: LogServerConfig, commit: Callable[[Batch], tuple[Status, str]]
    ) -> None:
        self.addresses: list[TcpAddress | UnixAddress] = []
        self.intakes: list[Intake] = []
        self._running: list[_Running] = []
        host = _stdlib.gethostname()
        try:
            for number, settings in enumerate(config.input):
                client = f"{settings.kind}-{number}@{config.name}@{host}"
                intake = Intake(commit, client)
                running, address = _open(intake, settings)
                self.intakes.append(intake)
                self._running.append(running)
                self.addresses.append(address)
        except BaseException:
            for opened in self._running:
                opened.stop()
            raise

    def start(self) -> None:
        """Begin to take lines. Does not park."""
        for intake in self.intakes:
            intake.start()
        for running in self._running:
            running.start()

    def stop(self) -> None:
        """Take no more; what was taken is on disk when this returns. Parks."""
        for running in self._running:
            running.stop()
        for intake in self.intakes:
            intake.stop()


def _open(intake: Intake, config: InputConfig) -> tuple[_Running, TcpAddress | UnixAddress]:
    if config.kind in ("syslog-udp", "gelf-udp"):
        receiver = DatagramInput(intake, config)
        return receiver, receiver.address
    listener = listen(config.bind, tls=_tls(config))
    address = bound_address(listener)
    try:
        if config.kind == "http":
            return _Serving(_http(listener, intake, config)), address
    except BaseException:
        listener.close()
        raise
    handle = partial(_HANDLERS[config.kind], intake, config)
    server = Server(
        listener, handle, connections_max=config.connections_max, name=f"{config.kind} sender"
    )
    return _Serving(server), address


def _http(listener: socket, intake: Intake, config: InputConfig) -> _Stoppable:
    # Protobuf and werkzeug take a moment to import; only who has this input needs them.
    from verdant.logs.inputs.http import HttpInput
    from verdant.wsgi import WsgiServer

    tokens = None
    if config.tokens_file is not None:
        try:
            text = Path(config.tokens_file).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as exc:
            raise InputUnusable(f"{config.tokens_file}: cannot be read ({exc})") from exc
        tokens = parse_tokens(text, config.tokens_file)
    return WsgiServer(
        listener, HttpInput(intake, config, tokens), connections_max=config.connections_max
    )


def _tls(config: InputConfig) -> ssl.SSLContext | None:
    if config.certificate is None:
        return None
    try:
        # Syslog, RELP and GELF have no name in ALPN, and their senders offer none.
        return tls_server_context(
            config.certificate,
            config.key,
            client_ca=config.client_ca,
            alpn=("http/1.1",) if config.kind == "http" else (),
        )
    except OSError as exc:
        files = [config.certificate, config.key, config.client_ca]
        named = ", ".join(name for name in files if name)
        raise InputUnusable(f"TLS cannot be set up with {named}: {exc}") from exc
