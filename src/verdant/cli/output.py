"""Output: tables for people, JSON for programs, one sentence for mistakes.

Place     cli.
"""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.table import Table

from verdant.errors import ConfigurationError, VerdantError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["CommandGroup", "print_json", "print_table"]


class CommandGroup(click.Group):
    """A group whose commands end a user's mistake with a sentence and an exit code.

    1: what was asked could not be done. 2: the command line or the configuration is wrong.
    """

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401 - click's own
        """Run the command. Does not return after a mistake."""
        try:
            return super().invoke(ctx)
        except ConfigurationError as exc:
            click.echo(f"verdant: {exc}", err=True)
            ctx.exit(2)
        except VerdantError as exc:
            click.echo(f"verdant: {exc}", err=True)
            ctx.exit(1)
        except BrokenPipeError:
            # The reader of our output left (`| head`): nobody is there to tell.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            ctx.exit(0)


def print_json(value: object) -> None:
    """One JSON document on a line of its own."""
    click.echo(json.dumps(value, ensure_ascii=False))


def print_table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """A table; without frames, so that it can be cut and searched too."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*map(str, row))
    Console().print(table)
