"""Keeping: the commands about the stores themselves: verify, rebuild, export, import.

Place     cli, on the logs room's store. Imports the engine only when a command needs it.
Promise   long work shows how far it is, on the standard error of a terminal; what is found wrong
          gives the exit code 1.
"""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from verdant.cli.logoptions import (
    example,
    peers_of,
    stack_options,
    stores_of,
)
from verdant.cli.peers import peer_options
from verdant.cli.transfer import TransferFailed, export_lines, import_batches, read_lines
from verdant.core import run_in_worker
from verdant.logs import BadQuery, Reader
from verdant.logs.query import pointed_at

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from verdant.logs.codec import Batch

__all__ = ["export", "import_", "rebuild", "verify"]

_directories = click.argument("directories", nargs=-1, metavar="[DIRECTORY]...")


@contextlib.contextmanager
def _progress(what: str, unit: str = "") -> Iterator[Callable[[int, int], object]]:
    """Shows how many of how many are done; a total of 0 is not known."""
    if not sys.stderr.isatty():
        yield lambda done, total: None
        return

    def show(done: int, total: int) -> None:
        share = f" of {total} ({100 * done // total} %)" if total else ""
        click.echo(f"\r{what}: {done}{share}{unit}\x1b[K", nl=False, err=True)

    try:
        yield show
    finally:
        click.echo("\r\x1b[K", nl=False, err=True)


@click.command(epilog=example("verdant logs verify /var/lib/verdant/logs/one"))
@_directories
@stack_options
def verify(directories: tuple[str, ...], path: str | None, data_dir: str, port_base: int) -> None:
    """Read all of a store and say what is damaged. Its server may run meanwhile.

    Without a DIRECTORY: the stores of the configured servers. Exit code 1 when something is wrong.
    """
    from verdant.logs.store import verify as verify_store

    is_sound = True
    for directory in stores_of(directories, path, data_dir, port_base):
        try:
            with _progress(directory, " bytes") as progress:
                report = run_in_worker(verify_store, directory, progress)
        except OSError as exc:
            raise TransferFailed(f"{directory}: cannot be read ({exc.strerror})") from exc
        for problem in report.problems:
            click.echo(click.style(problem, fg="red"))
        for note in report.notes:
            click.echo(note)
        click.echo(
            f"{directory}: {report.segments} segments with {report.lines} lines, "
            f"{report.unsealed_lines} lines not sealed, {report.bytes} bytes: "
            + (f"{len(report.problems)} problems" if report.problems else "all is well")
        )
        is_sound = is_sound and not report.problems
    if not is_sound:
        sys.exit(1)


@click.command(epilog=example("verdant logs rebuild /var/lib/verdant/logs/one"))
@_directories
@stack_options
def rebuild(directories: tuple[str, ...], path: str | None, data_dir: str, port_base: int) -> None:
    """Make a store's catalogue and search filters again. Its server must be stopped."""
    from verdant.logs.store import rebuild as rebuild_store

    for directory in stores_of(directories, path, data_dir, port_base):
        if not Path(directory).is_dir():
            raise TransferFailed(f"{directory}: there is no store")
        with _progress(directory, " segments") as progress:
            count = run_in_worker(rebuild_store, directory, progress)
        click.echo(f"{directory}: {count} segments catalogued")


@click.command(epilog=example("verdant logs export app=web since=1d --output web.jsonl"))
@click.argument("terms", nargs=-1, metavar="[QUERY]...")
@click.option("--output", type=click.Path(dir_okay=False), default="-", metavar="FILE",
              help="Where the lines go; - is the standard output.")  # fmt: skip
@click.option("--parquet", type=click.Path(file_okay=False), metavar="DIRECTORY",
              help="Copy whole segments there instead, as they are.")  # fmt: skip
@click.option("--store", "stores", multiple=True, metavar="DIRECTORY",
              help="With --parquet: of these; default: the configured ones.")  # fmt: skip
@peer_options("query")
@stack_options
def export(
    terms: tuple[str, ...],
    output: str,
    parquet: str | None,
    stores: tuple[str, ...],
    servers: tuple[str, ...],
    server_keys: tuple[str, ...],
    client_keys: str | None,
    path: str | None,
    data_dir: str,
    port_base: int,
) -> None:
    """Write every line that matches, the oldest first, as JSON lines.

    It ends without an error only when every server was there to the end.
    """
    if parquet is not None:
        if terms:
            raise click.UsageError("--parquet copies whole segments: it takes no query")
        _export_parquet(stores_of(stores, path, data_dir, port_base), parquet)
        return
    text = " ".join(terms)
    named = (servers, server_keys, client_keys)
    peers = peers_of("query", named, path, data_dir, port_base)
    reader = Reader(peers.endpoints, security=peers.security)
    count = 0
    try:
        with (
            click.open_file(output, "w", encoding="utf-8", atomic=output != "-") as file,
            _progress("exported", " lines") as progress,
        ):
            for count in export_lines(reader, text, file.write):
                progress(count, 0)
    except BadQuery as exc:
        click.echo(pointed_at(text, exc.position), err=True)
        raise
    finally:
        reader.close()
    click.echo(f"{count} lines exported", err=True)


def _export_parquet(directories: list[str], target: str) -> None:
    from verdant.logs.store import export_segments

    for directory in directories:
        # Stores have positions of their own, so files of two may bear the same name.
        beneath = Path(target) / Path(directory).name if len(directories) > 1 else Path(target)
        try:
            with _progress(directory, " segments") as progress:
                copies = run_in_worker(export_segments, directory, beneath, progress)
        except OSError as exc:
            raise TransferFailed(f"{directory}: cannot be copied ({exc})") from exc
        click.echo(f"{directory}: {len(copies)} segments in {beneath}", err=True)


@click.command("import", epilog=example("verdant logs import web.jsonl segments/*.parquet"))
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False))
@peer_options("collect")
@stack_options
def import_(
    files: tuple[str, ...],
    servers: tuple[str, ...],
    server_keys: tuple[str, ...],
    client_keys: str | None,
    path: str | None,
    data_dir: str,
    port_base: int,
) -> None:
    """Send the lines of exported FILES (JSON lines, or segments in Parquet) to a log server.

    Lines that are there already, from this file or from where it was exported, stay as they are.
    """
    named = (servers, server_keys, client_keys)
    peers = peers_of("collect", named, path, data_dir, port_base)
    for name in files:
        stored = present = 0
        with _progress(name, " lines") as progress:
            for stored, present in import_batches(_batches_of(Path(name)), peers):
                progress(stored + present, 0)
        click.echo(f"{name}: {stored} lines stored, {present} were there", err=True)


def _batches_of(path: Path) -> Iterator[Batch]:
    with path.open("rb") as file:
        is_parquet = file.read(4) == b"PAR1"
    if not is_parquet:
        return read_lines(path)
    from verdant.logs.store import read_batches

    return read_batches(path)
