"""Options that several commands have.

Place     cli, below the commands.
"""

from __future__ import annotations

import click

from verdant.balancer.client import DEFAULT_ADDRESS

__all__ = ["example", "json_option", "management_option"]


def example(text: str) -> str:
    """An epilog for a command's help."""
    # "\b" keeps click from filling the lines into one paragraph.
    return "\b\nExample:\n  " + text


management_option = click.option(
    "--management",
    metavar="ADDRESS",
    default=DEFAULT_ADDRESS,
    show_default=True,
    envvar="VERDANT_MANAGEMENT",
    help="The balancer's management address.",
)
json_option = click.option(
    "--json", "as_json", is_flag=True, help="One JSON document, for programs."
)
