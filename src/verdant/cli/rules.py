"""Rules: the commands that show and change what the balancer does.

Place     cli; around the management API's client.
Promise   a change is durable and in force when its command returns. `verdant rules` takes what
          mantrid-client took, word for word: list, set, delete, stats.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from verdant.balancer import BadRule, parse_rule
from verdant.cli.options import client_at, example, json_option, management_option
from verdant.cli.output import print_json, print_table

if TYPE_CHECKING:
    from verdant.balancer import BalancerClient

__all__ = ["rules", "show_statistics"]


@click.group()
def rules() -> None:
    """Show and change the balancer's rules."""


@rules.command("list", epilog=example("verdant rules list --json"))
@management_option
@json_option
def list_rules(management: str, as_json: bool) -> None:
    """List all rules."""
    found = client_at(management).rules()
    if as_json:
        print_json(found)
        return
    rows = []
    for host, (action, arguments, subdomains) in sorted(found.items()):
        main_argument = _main_argument(arguments) if isinstance(arguments, dict) else ""
        shown = f"{action}<{main_argument}>" if main_argument else str(action)
        rows.append((host, shown, "true" if subdomains else "false"))
    print_table(("HOST", "ACTION", "SUBDOMS"), rows)


def _main_argument(arguments: dict[str, object]) -> str:
    for name in ("backends", "code", "redirect_to", "type"):
        value = arguments.get(name)
        if isinstance(value, list):
            return ",".join(
                str(backend["address"]) if isinstance(backend, dict) else "{}:{}".format(*backend)
                for backend in value
            )
        if value is not None:
            return str(value)
    return ""


@rules.command(
    "set", epilog=example("verdant rules set www.example.com proxy false backends=127.0.0.1:9000")
)
@click.argument("host")
@click.argument("action")
@click.argument("subdomains", type=click.Choice(["true", "false"], case_sensitive=False))
@click.argument("arguments", nargs=-1, metavar="[NAME=VALUE]...")
@management_option
@json_option
def set_rule(
    host: str,
    action: str,
    subdomains: str,
    arguments: tuple[str, ...],
    management: str,
    as_json: bool,
) -> None:
    """Give HOST a rule; in force and durable when the command returns."""
    values: dict[str, str] = {}
    for argument in arguments:
        name, equals, value = argument.partition("=")
        if not equals:
            raise click.UsageError(f"{argument!r} is not NAME=VALUE")
        values[name] = value
    rule: list[object] = [action, values, subdomains == "true"]
    try:
        parse_rule(rule)
    except BadRule as exc:
        raise click.UsageError(str(exc)) from exc
    client_at(management).set_rule(host, rule)
    if as_json:
        print_json({"ok": True})


@rules.command("delete", epilog=example("verdant rules delete www.example.com"))
@click.argument("host")
@management_option
@json_option
def delete_rule(host: str, management: str, as_json: bool) -> None:
    """Take HOST's rule away."""
    client_at(management).delete_rule(host)
    if as_json:
        print_json({"ok": True})


@rules.command("stats", epilog=example("verdant rules stats www.example.com"))
@click.argument("host", required=False)
@management_option
@json_option
def rule_stats(host: str | None, management: str, as_json: bool) -> None:
    """Show what each host's requests came to (as `verdant stats`)."""
    show_statistics(client_at(management), host, as_json=as_json)


def show_statistics(client: BalancerClient, host: str | None, *, as_json: bool) -> None:
    """Print the counters of one host, or of all that have some. Parks."""
    found = client.statistics() if host is None else {host: client.host_statistics(host)}
    if as_json:
        print_json(found)
        return
    columns = ("open_requests", "completed_requests", "bytes_received", "bytes_sent")
    rows = [(name, *(counts[c] for c in columns)) for name, counts in sorted(found.items())]
    print_table(("HOST", "OPEN", "COMPLETED", "BYTES IN", "BYTES OUT"), rows)


@rules.group()
def backends() -> None:
    """Show the backends of a proxy rule, add and remove them."""


@backends.command("list", epilog=example("verdant rules backends list www.example.com"))
@click.argument("host")
@management_option
@json_option
def list_backends(host: str, management: str, as_json: bool) -> None:
    """List what is known of each backend of HOST's rule."""
    found = client_at(management).backends(host)
    if as_json:
        print_json(found)
        return
    columns = ("address", "weight", "state", "open_requests", "completed_requests", "failures")
    rows = [tuple(backend[column] for column in columns) for backend in found]
    print_table(("BACKEND", "WEIGHT", "STATE", "OPEN", "COMPLETED", "FAILURES"), rows)


@backends.command(
    "add", epilog=example("verdant rules backends add www.example.com 10.0.0.6:8000 --weight 2")
)
@click.argument("host")
@click.argument("address")
@click.option("--weight", type=int, default=1, show_default=True, help="Its share of the requests.")
@click.option(
    "--connections-max",
    type=int,
    default=0,
    help="Requests that it may have at once; 0: as the rule says.",
)
@management_option
@json_option
def add_backend(
    host: str, address: str, weight: int, connections_max: int, management: str, as_json: bool
) -> None:
    """Add the backend at ADDRESS to HOST's rule, or change its weight."""
    backend = {"address": address, "weight": weight, "connections_max": connections_max}
    client_at(management).add_backend(host, backend)
    if as_json:
        print_json({"ok": True})


@backends.command(
    "remove", epilog=example("verdant rules backends remove www.example.com 10.0.0.5:8000")
)
@click.argument("host")
@click.argument("address")
@click.option(
    "--drain",
    "drain_s",
    type=click.FloatRange(0, 3600),
    default=30.0,
    show_default=True,
    help="Seconds that its requests under way may take.",
)
@management_option
@json_option
def remove_backend(host: str, address: str, drain_s: float, management: str, as_json: bool) -> None:
    """Take the backend at ADDRESS out of HOST's rule; returns once it has nothing under way."""
    left = client_at(management).remove_backend(host, address, drain_s)
    if as_json:
        print_json({"ok": True, "open_requests": left})
    elif left:
        click.echo(f"{left} requests are still under way at {address}", err=True)
