"""Peers: which log servers a command talks to, and by which keys.

Place     cli; from options, else from the configuration file, else the built-in stack.
Promise   a server that has keys in the configuration is never spoken to in plain text.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import click

from verdant.errors import ConfigurationError
from verdant.zmq.security import ANY_KEY, ClientSecurity, new_keys, read_keys, read_public

if TYPE_CHECKING:
    from collections.abc import Callable

    from verdant.cli.config import LogsConfig

__all__ = ["Peers", "chosen_peers", "configured_peers", "peer_options"]

_Command = TypeVar("_Command", bound="Callable[..., Any]")


@dataclass(frozen=True, slots=True)
class Peers:
    """Endpoints, and how to show who we are at those that ask."""

    endpoints: list[str]
    security: dict[str, ClientSecurity]


def peer_options(kind: str) -> Callable[[_Command], _Command]:
    """Options that name log servers and keys: `servers`, `server_keys`, `client_keys`."""

    def decorate(command: _Command) -> _Command:
        for option in (
            click.option(
                "--keys",
                "client_keys",
                metavar="FILE",
                help="Our secret key file, for servers with keys.",
            ),
            click.option(
                "--server-key",
                "server_keys",
                multiple=True,
                metavar="FILE",
                help="The public key file of a --server: one for all, or one for each.",
            ),
            click.option(
                "--server",
                "servers",
                multiple=True,
                metavar="ENDPOINT",
                help=f"A log server's {kind} endpoint; may be repeated. "
                "Default: the built-in stack's.",
            ),
        ):
            command = option(command)
        return command

    return decorate


def chosen_peers(
    kind: str,
    named: tuple[tuple[str, ...], tuple[str, ...], str | None],
    load: Callable[[], LogsConfig],
) -> Peers:
    """The servers of `peer_options`, else those of the configuration that `load` gets.

    Reads files. Raises `BadKeyFile`, `ConfigurationError`, click's UsageError.
    """
    servers, server_keys, client_keys = named
    if servers:
        return _named_peers(servers, server_keys, client_keys)
    if server_keys:
        raise click.UsageError("--server-key says whose key it is by --server: name that too")
    config = load()
    if not config.server:
        raise ConfigurationError("the configuration has no log servers: name one with --server")
    return configured_peers(config, kind, client_keys)


def _named_peers(
    servers: tuple[str, ...], server_keys: tuple[str, ...], client_keys: str | None
) -> Peers:
    if not server_keys:
        if client_keys is not None:
            raise click.UsageError("--keys needs the server's own: name its file by --server-key")
        return Peers(list(servers), {})
    if len(server_keys) not in (1, len(servers)):
        raise click.UsageError(
            f"{len(servers)} --server and {len(server_keys)} --server-key: give one for all, or "
            "one for each"
        )
    # Without keys of our own: for servers that take any.
    keys = new_keys() if client_keys is None else read_keys(client_keys)
    public = [read_public(path) for path in server_keys]
    if len(public) == 1:
        public *= len(servers)
    return Peers(
        list(servers),
        {
            endpoint: ClientSecurity(key, keys)
            for endpoint, key in zip(servers, public, strict=True)
        },
    )


def configured_peers(config: LogsConfig, kind: str, client_keys: str | None = None) -> Peers:
    """The configured servers' endpoints of `kind`. Reads key files.

    `client_keys`: our secret key file in place of the configuration's. Raises `BadKeyFile`, and
    `ConfigurationError` for a server that asks for keys when we have none.
    """
    path = client_keys or config.client_keys
    own = None if path is None else read_keys(path)
    peers = Peers([getattr(server, kind) for server in config.server], {})
    for server in config.server:
        if server.keys is None:
            continue
        if own is None and server.allow == ANY_KEY:
            own = new_keys()
        if own is None:
            raise ConfigurationError(
                f"logs.client_keys: log server {server.name!r} takes allowed keys alone; name the "
                "secret key file of the balancer and of these commands"
            )
        peers.security[getattr(server, kind)] = ClientSecurity(read_public(server.keys), own)
    return peers
