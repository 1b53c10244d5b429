"""Asking: the commands that show what log servers have: query, tail, sql.

Place     cli, on the logs room's reader.
Promise   what is missing is said on the standard error; a mistake in a query is shown under the
          query, with a caret at its column.
"""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from verdant.cli.logoptions import (
    example,
    json_option,
    peers_of,
    stack_options,
)
from verdant.cli.peers import peer_options
from verdant.cli.rows import echo_gap, echo_row, echo_table
from verdant.logs import BadQuery, Gap, Reader, shown_fields
from verdant.logs.query import make_plan, pointed_at

if TYPE_CHECKING:
    from collections.abc import Iterator

    from verdant.logs import Follower, Found, Row

__all__ = ["query", "sql", "tail"]

# A server that works on a long search says so each second.
SILENT_S_MAX = 10.0
# Lines of a tail between two notes of where it stands.
NOTED_LINES = 100

_colour = click.option(
    "--color",
    "colour",
    type=click.Choice(["auto", "always", "never"]),
    default="auto",
    show_default=True,
)
_COLOURS = {"auto": None, "always": True, "never": False}
_timeout = click.option(
    "--timeout",
    "timeout_s",
    type=click.FloatRange(0.1, 3600),
    default=SILENT_S_MAX,
    show_default=True,
    help="Seconds that a server may be silent.",
)


@click.command(epilog=example("verdant logs query 'app=web level>=error since=1h | count by 5m'"))
@click.argument("terms", nargs=-1, metavar="[QUERY]...")
@click.option("--limit", type=click.IntRange(1, 50_000), default=100, show_default=True)
@click.option("--oldest", is_flag=True, help="The oldest lines, not the newest.")
@click.option("--newest-first", is_flag=True, help="Show the newest at the top, as it is found.")
@click.option("-C", "--context", type=click.IntRange(0, 100), default=0, metavar="LINES",
              help="Lines to show before and behind each, of the same app and host.")  # fmt: skip
@click.option("--page", metavar="PAGE", help="The lines behind those that ended with this page.")
@click.option("--follow", is_flag=True, help="Go on with new lines, as `tail` does.")
@peer_options("query")
@stack_options
@_timeout
@_colour
@json_option
def query(
    terms: tuple[str, ...],
    limit: int,
    oldest: bool,
    newest_first: bool,
    context: int,
    page: str | None,
    follow: bool,
    servers: tuple[str, ...],
    server_keys: tuple[str, ...],
    client_keys: str | None,
    path: str | None,
    data_dir: str,
    port_base: int,
    timeout_s: float,
    colour: str,
    as_json: bool,
) -> None:
    """Find lines, or count them; lines are shown in the order of time.

    \b
      app=web level>=error "connection refused" /time(d|-)out/ status=500 since=1h
      (refused or reset) -app=test time=2h..1h
      status>=500 since=1d | count by 1h, app
      app=web | p50,p99 duration_us      | top 10 path      | sort -bytes | fields time,msg
    """
    text = " ".join(terms)
    named = (servers, server_keys, client_keys)
    peers = peers_of("query", named, path, data_dir, port_base)
    reader = Reader(peers.endpoints, timeout_s, peers.security)
    with _closing(reader), _pointing(text):
        if follow:
            _tail(reader.follow(text, last=limit), None, as_json=as_json, colour=colour)
            return
        plan = make_plan(text, 0)
        if plan.grouping is not None:
            found = reader.query(text)
            if found.table is not None:
                echo_table(found.table, as_json=as_json)
        else:
            results = reader.stream(text, limit, "oldest" if oldest else "newest", page)
            is_turned = not (oldest or newest_first or plan.sort)
            rows: Iterator[Row] | list[Row] = iter(results)
            if is_turned or context:
                rows = list(rows)[:: -1 if is_turned else 1]
            shown = shown_fields(plan)
            names = list(shown) if shown is not None else None
            for row, is_context in _with_context(reader, rows, context):
                if row is None:
                    click.echo("--")
                else:
                    echo_row(row, as_json=as_json, names=names, is_context=is_context,
                             colour=_COLOURS[colour])  # fmt: skip
            found = results.found
        _say_missing(found)
    if found.missing and not found.rows and len(found.missing) == len(reader.servers):
        sys.exit(1)


def _with_context(
    reader: Reader, rows: Iterator[Row] | list[Row], count: int
) -> Iterator[tuple[Row | None, bool]]:
    if not count:
        yield from ((row, False) for row in rows)
        return
    hits = list(rows)
    near = reader.around(hits, count)
    wanted = {row.identity for row in hits}
    done: set[tuple[str, int, int, int]] = set()
    for hit in hits:
        before, behind = near.get(hit, ([], []))
        block = [row for row in (*before, hit, *behind) if row.identity not in done]
        if block and done:
            yield None, True
        for row in block:
            done.add(row.identity)
            yield row, row.identity not in wanted


def _say_missing(found: Found) -> None:
    for endpoint in found.missing:
        reason = found.reasons.get(endpoint, f"{endpoint} does not answer")
        click.echo(f"verdant: {reason}", err=True)
    if found.page is not None:
        click.echo(f"verdant: there is more: --page {found.page}", err=True)


@click.command(epilog=example("verdant logs tail app=web 'level>=error'"))
@click.argument("terms", nargs=-1, metavar="[QUERY]...")
@click.option("--last", type=click.IntRange(0, 10_000), default=10, show_default=True,
              help="Lines to begin with.")  # fmt: skip
@click.option("--state", type=click.Path(dir_okay=False), metavar="FILE",
              help="Where to note how far this tail came, and to go on from.")  # fmt: skip
@click.option("--behind-max", type=click.IntRange(0), default=0, metavar="LINES",
              help="Skip lines, and say so, when so far behind a server; 0 is never.")  # fmt: skip
@peer_options("query")
@stack_options
@_colour
@json_option
def tail(
    terms: tuple[str, ...],
    last: int,
    state: str | None,
    behind_max: int,
    servers: tuple[str, ...],
    server_keys: tuple[str, ...],
    client_keys: str | None,
    path: str | None,
    data_dir: str,
    port_base: int,
    colour: str,
    as_json: bool,
) -> None:
    """Show lines as they come, until Ctrl-C."""
    text = " ".join(terms)
    named = (servers, server_keys, client_keys)
    peers = peers_of("query", named, path, data_dir, port_base)
    reader = Reader(peers.endpoints, SILENT_S_MAX, peers.security)
    token = None
    if state is not None and os.path.exists(state):
        token = Path(state).read_text(encoding="ascii", errors="replace").strip() or None
    with _closing(reader), _pointing(text):
        follower = reader.follow(text, last, token, behind_max)
        _tail(follower, state, as_json=as_json, colour=colour)


def _tail(follower: Follower, state: str | None, *, as_json: bool, colour: str) -> None:
    rows = iter(follower)
    try:
        for count, row in enumerate(rows, 1):
            if isinstance(row, Gap):
                echo_gap(row, as_json=as_json)
            else:
                echo_row(row, as_json=as_json, colour=_COLOURS[colour])
            sys.stdout.flush()
            if state is not None and count % NOTED_LINES == 0:
                _note(state, follower.token)
    except KeyboardInterrupt:
        return
    finally:
        if state is not None:
            _note(state, follower.token)


def _note(state: str, token: str) -> None:
    # Never half a token: another one is written beside it, then takes its place.
    beside = Path(state + ".tmp")
    beside.write_text(token + "\n", encoding="ascii")
    beside.replace(state)


@click.command(epilog=example("verdant logs sql 'SELECT app, count(*) FROM lines GROUP BY app'"))
@click.argument("statement")
@click.option("--limit", type=click.IntRange(1, 50_000), default=1000, show_default=True)
@peer_options("query")
@stack_options
@_timeout
@json_option
def sql(
    statement: str,
    limit: int,
    servers: tuple[str, ...],
    server_keys: tuple[str, ...],
    client_keys: str | None,
    path: str | None,
    data_dir: str,
    port_base: int,
    timeout_s: float,
    as_json: bool,
) -> None:
    """Run one SELECT over the view `lines` on each server.

    Its columns: time, t (nanoseconds), app, host, level, msg, fields (JSON), received, client,
    epoch, seq, idx, pos. Each server answers for itself: a line that two have is in both answers.
    """
    named = (servers, server_keys, client_keys)
    peers = peers_of("query", named, path, data_dir, port_base)
    reader = Reader(peers.endpoints, timeout_s, peers.security)
    with _closing(reader), _pointing(statement):
        tables, found = reader.sql(statement, limit)
        for server, table in tables.items():
            if not as_json and len(tables) > 1:
                click.echo(click.style(server, fg="cyan"))
            echo_table(table, as_json=as_json)
        _say_missing(found)
    if not tables:
        sys.exit(1)


@contextlib.contextmanager
def _closing(reader: Reader) -> Iterator[None]:
    try:
        yield
    finally:
        reader.close()


@contextlib.contextmanager
def _pointing(text: str) -> Iterator[None]:
    try:
        yield
    except BadQuery as exc:
        if text:
            click.echo(pointed_at(text, exc.position), err=True)
        raise
