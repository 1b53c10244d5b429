"""Options that several commands have.

Place     cli, below the commands.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from verdant.balancer import BalancerClient
from verdant.balancer.client import DEFAULT_ADDRESS

__all__ = ["client_at", "example", "json_option", "management_option"]

TOKEN_KEY = "verdant.token"

_Command = TypeVar("_Command", bound=Callable[..., Any])


def example(text: str) -> str:
    """An epilog for a command's help."""
    # "\b" keeps click from filling the lines into one paragraph.
    return "\b\nExample:\n  " + text


def _keep_token(context: click.Context, _: click.Parameter, path: str | None) -> None:
    if path is not None:
        try:
            context.meta[TOKEN_KEY] = Path(path).read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError) as exc:
            raise click.BadParameter(f"{path} is not a file with a token: {exc}") from exc


def _keep_given_token(context: click.Context, _: click.Parameter, token: str | None) -> None:
    if token is not None:
        context.meta.setdefault(TOKEN_KEY, token)


def management_option(command: _Command) -> _Command:
    """The options by which a command finds the balancer's management API, and gets in."""
    for option in (
        # In the environment only: a command line can be read by everybody on the machine.
        click.option(
            "--token",
            envvar="VERDANT_TOKEN",
            hidden=True,
            expose_value=False,
            callback=_keep_given_token,
        ),
        click.option(
            "--token-file",
            metavar="FILE",
            envvar="VERDANT_TOKEN_FILE",
            expose_value=False,
            is_eager=True,
            callback=_keep_token,
            help="A file with the token to show; or set VERDANT_TOKEN.",
        ),
        click.option(
            "--management",
            metavar="ADDRESS",
            default=DEFAULT_ADDRESS,
            show_default=True,
            envvar="VERDANT_MANAGEMENT",
            help="The balancer's management address.",
        ),
    ):
        command = option(command)
    return command


def client_at(management: str) -> BalancerClient:
    """A client for the management API, with the token that the command was given."""
    return BalancerClient(management, token=click.get_current_context().meta.get(TOKEN_KEY))


json_option = click.option(
    "--json", "as_json", is_flag=True, help="One JSON document, for programs."
)
