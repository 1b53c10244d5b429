"""Following: the options of `verdant logs ship`, as one value.

Place     cli, pure but for click. ship.py does what they say.
Promise   what contradicts itself is a usage error before anything is opened.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import click

from verdant.logs import FORMATS, BadMultiline, parse_multiline

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = ["Following", "follow_options", "following"]

_Command = TypeVar("_Command", bound="Callable[..., Any]")

# Some batches have to fit.
SPOOL_BYTES_MIN = 8 * 1024 * 1024
SPOOL_BYTES_DEFAULT = 1024 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Following:
    """What to ship, and how. `files`: patterns when they are followed."""

    files: Sequence[str]
    app: str
    follow: bool
    spool: str
    spool_bytes_max: int
    format: str
    multiline: str
    at_end: bool
    copies: int


def follow_options(command: _Command) -> _Command:
    """The options that `following` reads."""
    for option in (
        click.option(
            "--copies",
            type=click.IntRange(min=1),
            default=1,
            show_default=True,
            help="Servers that must have a line before it is forgotten.",
        ),
        click.option("--at-end", is_flag=True, help="Begin at the end of files never read before."),
        click.option(
            "--multiline",
            default="none",
            show_default=True,
            metavar="RULE",
            help="Joins lines: none, auto, python, java, indent, or start=REGEX.",
        ),
        click.option(
            "--format",
            type=click.Choice(FORMATS),
            default="plain",
            show_default=True,
            help="Of the lines, with --follow.",
        ),
        click.option(
            "--spool-bytes",
            type=click.IntRange(min=SPOOL_BYTES_MIN),
            default=SPOOL_BYTES_DEFAULT,
            show_default=True,
            help="Bound of the spool.",
        ),
        click.option(
            "--spool", metavar="DIRECTORY", help="Where lines wait on disk, with --follow."
        ),
        click.option("--follow", is_flag=True, help="Follow files as they grow and rotate."),
    ):
        command = option(command)
    return command


def following(
    files: Sequence[str], app: str, data_dir: str, options: Mapping[str, Any], servers: int
) -> Following:
    """What the options say, with so many log servers. Raises `click.UsageError`."""
    if options["copies"] > servers:
        raise click.UsageError(
            f"{options['copies']} copies need as many log servers; there are {servers}"
        )
    if options["follow"] and not files:
        raise click.UsageError("name the files to follow")
    try:
        parse_multiline(options["multiline"])
    except BadMultiline as exc:
        raise click.UsageError(str(exc)) from exc
    return Following(
        files,
        app,
        options["follow"],
        options["spool"] or os.path.join(data_dir, "ship", app),
        options["spool_bytes"],
        options["format"],
        options["multiline"],
        options["at_end"],
        options["copies"],
    )
