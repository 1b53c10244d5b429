"""Keys: `verdant keys`, which makes the key files of ZeroMQ ports.

Place     cli, on the ZeroMQ room's key files.
Promise   a secret is printed by no command, and overwritten only when that is asked for.
"""

from __future__ import annotations

import click

from verdant.zmq.security import read_public, write_keys

__all__ = ["keys"]


@click.group()
def keys() -> None:
    """Make key pairs for ZeroMQ ports (CURVE), and show public keys."""


@keys.command("new", epilog="\b\nExample:\n  verdant keys new web --dir /etc/verdant/keys")
@click.argument("name")
@click.option(
    "--dir", "directory", default=".", show_default=True, type=click.Path(file_okay=False),
    help="Where the two files go.",
)  # fmt: skip
@click.option("--overwrite", is_flag=True, help="Replace files of that name; their key is gone.")
def new(name: str, directory: str, overwrite: bool) -> None:
    """Write a fresh key pair: NAME.key for the peers, NAME.key_secret for NAME alone."""
    public_path, secret_path = write_keys(name, directory, overwrite=overwrite)
    click.echo(f"{public_path}  public, give it to the peers: {read_public(public_path).decode()}")
    click.echo(f"{secret_path}  secret, mode 0600, give it to nobody")


@keys.command("show", epilog="\b\nExample:\n  verdant keys show /etc/verdant/keys/web.key")
@click.argument("file", type=click.Path(dir_okay=False))
def show(file: str) -> None:
    """Print the public key in FILE, a public or a secret key file."""
    click.echo(read_public(file).decode())
