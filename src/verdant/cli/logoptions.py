"""Options that several of the log commands have, and which servers they come to.

Place     cli, below the commands.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from verdant.cli.config import (
    DATA_DIR_DEFAULT,
    PORT_BASE_DEFAULT,
    StackConfig,
    default_config,
    load_config,
)
from verdant.cli.peers import Peers, chosen_peers
from verdant.errors import ConfigurationError

__all__ = [
    "configuration",
    "example",
    "json_option",
    "peers_of",
    "stack_options",
    "stores_of",
]

# click decorates functions of any signature and gives them back as they are, to a type checker.
_Command = TypeVar("_Command", bound=Callable[..., Any])


def example(text: str) -> str:
    """An epilog for a command's help."""
    # "\b" keeps click from filling the lines into one paragraph.
    return "\b\nExample:\n  " + text


json_option = click.option("--json", "as_json", is_flag=True, help="JSON lines, for programs.")


def stack_options(command: _Command) -> _Command:
    """Where the stack is configured: a file, or a directory and the first of the ports."""
    for option in (
        click.option("-c", "--config", "path", metavar="FILE", help="Configuration file (TOML)."),
        click.option(
            "--data-dir",
            default=DATA_DIR_DEFAULT,
            show_default=True,
            help="Where rules and logs are kept, without a configuration file.",
        ),
        click.option(
            "--port-base",
            type=click.IntRange(1024, 65000),
            default=PORT_BASE_DEFAULT,
            show_default=True,
            help="First of the ports, without a configuration file.",
        ),
    ):
        command = option(command)
    return command


def configuration(path: str | None, data_dir: str, port_base: int) -> StackConfig:
    """The configuration in the file at `path`, else the built-in one."""
    return default_config(data_dir, port_base) if path is None else load_config(path)


def peers_of(
    kind: str,
    named: tuple[tuple[str, ...], tuple[str, ...], str | None],
    path: str | None,
    data_dir: str,
    port_base: int,
) -> Peers:
    """The servers that `peer_options` named, else those of the configuration. Reads key files."""
    return chosen_peers(kind, named, lambda: configuration(path, data_dir, port_base).logs)


def stores_of(
    directories: tuple[str, ...], path: str | None, data_dir: str, port_base: int
) -> list[str]:
    """The directories that were named, else those of the configuration's servers."""
    if directories:
        return list(directories)
    configured = configuration(path, data_dir, port_base).logs.server
    if not configured:
        raise ConfigurationError(f"{path} has no log servers: name a directory")
    return [server.data_dir for server in configured]
