"""Main: the command tree.

Place     cli; the only reader of argv. Each command is a few lines around a room's public client.
Promise   exit code 0 for done, 1 for could not, 2 for a wrong command line or configuration; a
          mistake gets a sentence, never a traceback.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable
from typing import Any, TypeVar

import click

from verdant.cli.config import (
    DATA_DIR_DEFAULT,
    PORT_BASE_DEFAULT,
    StackConfig,
    default_config,
    load_config,
    load_mantrid,
)
from verdant.cli.following import follow_options, following
from verdant.cli.keys import keys
from verdant.cli.options import client_at, example, json_option, management_option
from verdant.cli.output import CommandGroup, print_row
from verdant.cli.peers import chosen_peers, peer_options
from verdant.cli.rules import rules, show_statistics
from verdant.cli.serving import end_with_parent, serve_balancer, serve_logs
from verdant.errors import ConfigurationError
from verdant.logs import Reader

__all__ = ["main"]

# click decorates functions of any signature and gives them back as they are, to a type checker.
_Command = TypeVar("_Command", bound=Callable[..., Any])


def _stack_options(command: _Command) -> _Command:
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


def _child_options(command: _Command) -> _Command:
    command = click.option("--parent-pid", type=int, hidden=True)(command)
    return click.option("--ready-fd", type=int, hidden=True)(command)


def _config(path: str | None, data_dir: str, port_base: int) -> StackConfig:
    return default_config(data_dir, port_base) if path is None else load_config(path)


def _readiness(parent_pid: int | None, ready_fd: int | None) -> Callable[[], None]:
    if parent_pid is not None:
        end_with_parent(parent_pid)
    logging.basicConfig(level=logging.WARNING, format="verdant: %(message)s")
    # Who changed which rule belongs in the journal of the machine.
    logging.getLogger("verdant.balancer.audit").setLevel(logging.INFO)

    def tell() -> None:
        if ready_fd is not None:
            os.write(ready_fd, b"ready\n")
            os.close(ready_fd)

    return tell


@click.group(cls=CommandGroup)
@click.version_option(package_name="verdant")
def main() -> None:
    """Verdant: a balancer that holds requests, and logs that are not lost."""


@main.command(epilog=example("verdant up -c /etc/verdant.toml"))
@_stack_options
def up(path: str | None, data_dir: str, port_base: int) -> None:
    """Run the balancer and the log servers until Ctrl-C.

    Without a configuration file: on loopback, with a sample site that is asleep.
    """
    from verdant.cli.up import run_stack

    config = _config(path, data_dir, port_base)
    if path is None:
        arguments = ["--data-dir", data_dir, "--port-base", str(port_base)]
        run_stack(config, arguments, port_base + 80)
    else:
        run_stack(config, ["-c", path], None)


@main.command(epilog=example("verdant balancer -c /etc/verdant.toml"))
@_stack_options
@click.option(
    "--mantrid-conf", metavar="FILE", help="Instead: a mantrid.conf, with the state that it names."
)
@_child_options
def balancer(
    path: str | None,
    data_dir: str,
    port_base: int,
    mantrid_conf: str | None,
    parent_pid: int | None,
    ready_fd: int | None,
) -> None:
    """Run the balancer alone, in the foreground."""
    if mantrid_conf is not None:
        if path is not None:
            raise click.UsageError("give either --config or --mantrid-conf")
        config = load_mantrid(mantrid_conf)
    else:
        config = _config(path, data_dir, port_base)
    serve_balancer(config, _readiness(parent_pid, ready_fd))


@main.command("sample-site", hidden=True)
@click.option("--port", type=int, required=True)
@_child_options
def sample_site(port: int, parent_pid: int | None, ready_fd: int | None) -> None:
    """Run the sample site."""
    from verdant.cli.sample import serve_sample

    serve_sample(port, _readiness(parent_pid, ready_fd))


@main.command(
    epilog=example("verdant run crawler.py --depth 2"),
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
)
@click.argument("script", type=click.Path(exists=True, dir_okay=False, readable=True))
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="[ARGUMENT]...")
def run(script: str, arguments: tuple[str, ...]) -> None:
    """Run SCRIPT with the standard library patched: its blocking calls park green threads.

    The exit code is the script's own.
    """
    # A new program in this process: whatever this command line has imported stays unseen by it.
    program = [sys.executable, "-m", "verdant.cli.run", script, *arguments]
    os.execv(sys.executable, program)


# Rules and statistics.

main.add_command(rules)


@main.command(epilog=example("verdant stats www.example.com"))
@click.argument("host", required=False)
@management_option
@json_option
def stats(host: str | None, management: str, as_json: bool) -> None:
    """Show what each host's requests came to."""
    show_statistics(client_at(management), host, as_json=as_json)


# Logs.


@main.group()
def logs() -> None:
    """Ask the log servers, follow them, send to them."""


@logs.command(epilog=example("verdant logs query 'app=balancer status>=500 since=1h'"))
@click.argument("terms", nargs=-1, metavar="[QUERY]...")
@click.option("--limit", type=click.IntRange(1, 50_000), default=100, show_default=True)
@click.option("--oldest", is_flag=True, help="The oldest lines, not the newest.")
@peer_options("query")
@_stack_options
@json_option
def query(
    terms: tuple[str, ...],
    limit: int,
    oldest: bool,
    servers: tuple[str, ...],
    server_keys: tuple[str, ...],
    client_keys: str | None,
    path: str | None,
    data_dir: str,
    port_base: int,
    as_json: bool,
) -> None:
    """Find lines; they are shown in the order of time."""
    named = (servers, server_keys, client_keys)
    peers = chosen_peers("query", named, lambda: _config(path, data_dir, port_base).logs)
    reader = Reader(peers.endpoints, timeout_s=10.0, security=peers.security)
    try:
        found = reader.query(" ".join(terms), limit, "oldest" if oldest else "newest")
    finally:
        reader.close()
    for row in found.rows if oldest else reversed(found.rows):
        print_row(row, as_json=as_json)
    for endpoint in found.missing:
        click.echo(f"verdant: {endpoint} does not answer: its lines are missing here", err=True)
    if found.missing and not found.rows:
        sys.exit(1)


@logs.command(epilog=example("verdant logs tail app=web 'level>=error'"))
@click.argument("terms", nargs=-1, metavar="[QUERY]...")
@click.option("--last", type=click.IntRange(0, 10_000), default=10, show_default=True,
              help="Lines to begin with.")  # fmt: skip
@peer_options("query")
@_stack_options
@json_option
def tail(
    terms: tuple[str, ...],
    last: int,
    servers: tuple[str, ...],
    server_keys: tuple[str, ...],
    client_keys: str | None,
    path: str | None,
    data_dir: str,
    port_base: int,
    as_json: bool,
) -> None:
    """Show lines as they come, until Ctrl-C."""
    named = (servers, server_keys, client_keys)
    peers = chosen_peers("query", named, lambda: _config(path, data_dir, port_base).logs)
    reader = Reader(peers.endpoints, timeout_s=10.0, security=peers.security)
    try:
        for row in reader.follow(" ".join(terms), last):
            print_row(row, as_json=as_json)
            sys.stdout.flush()
    except KeyboardInterrupt:
        return
    finally:
        reader.close()


@logs.command(epilog=example("verdant logs ship --app web --follow '/var/log/web/*.log'"))
@click.argument("files", nargs=-1, metavar="[FILE]...")
@click.option("--app", required=True, help="Under which name the lines are kept.")
@follow_options
@peer_options("collect")
@_stack_options
@_child_options
def ship(
    files: tuple[str, ...],
    app: str,
    servers: tuple[str, ...],
    server_keys: tuple[str, ...],
    client_keys: str | None,
    path: str | None,
    data_dir: str,
    port_base: int,
    parent_pid: int | None,
    ready_fd: int | None,
    **how: Any,  # noqa: ANN401 - what follow_options says
) -> None:
    """Send lines of FILEs (standard input without one) and wait until they are stored."""
    from verdant.cli.ship import follow_files, ship_files

    named = (servers, server_keys, client_keys)
    where = chosen_peers("collect", named, lambda: _config(path, data_dir, port_base).logs)
    wanted = following(files, app, data_dir, how, len(where.endpoints))
    if wanted.follow:
        follow_files(wanted, where, _readiness(parent_pid, ready_fd))
    else:
        click.echo(f"{ship_files(wanted, where)} lines stored", err=True)


@logs.command("serve", epilog=example("verdant logs serve one -c /etc/verdant.toml"))
@click.argument("name")
@_stack_options
@_child_options
def serve(
    name: str,
    path: str | None,
    data_dir: str,
    port_base: int,
    parent_pid: int | None,
    ready_fd: int | None,
) -> None:
    """Run the log server NAME alone, in the foreground."""
    configured = _config(path, data_dir, port_base).logs.server
    for server in configured:
        if server.name == name:
            serve_logs(server, _readiness(parent_pid, ready_fd))
            return
    names = ", ".join(server.name for server in configured) or "none"
    raise ConfigurationError(f"there is no log server {name!r} in the configuration: {names}")


main.add_command(keys)

if __name__ == "__main__":
    main(prog_name="verdant")
