"""Up: the whole stack on one terminal.

Place     cli. Starts the log servers, the balancer and, without a configuration file, the sample
          site's waker; watches them; stops them in order.
Promise   when the screen appears everything answers. SIGINT or SIGTERM stops it all within five
          seconds, exit code 0; rules and logs are on disk all along.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.panel import Panel
from rich.table import Table

from verdant.cli.children import Child
from verdant.cli.sample import SAMPLE_HOST, SampleWaker
from verdant.cli.serving import wait_for_signal
from verdant.core import GreenThread, spawn

if TYPE_CHECKING:
    from verdant.cli.config import StackConfig

__all__ = ["run_stack"]

# Together below the five seconds: the balancer drains for three of them at most.
BALANCER_GRACE_S = 4.3
LOGS_GRACE_S = 4.6


def run_stack(config: StackConfig, arguments: list[str], sample_port: int | None) -> None:
    """Run `config` until a signal comes. Parks.

    `arguments`: the options that make a child read the same configuration. `sample_port`: where
    the sample site will listen, or None for no sample site.
    """
    console = Console()
    logs = [
        Child(f"log server {server.name}", ["logs", "serve", server.name, *arguments])
        for server in config.logs.server
    ]
    balancer = Child("the balancer", ["balancer", *arguments])
    waker: SampleWaker | None = None
    try:
        with console.status("starting the log servers and the balancer"):
            starting = [spawn(_start, child) for child in (*logs, balancer)]
            failures = [failure for failure in (thread.wait() for thread in starting) if failure]
            if failures:
                raise failures[0]
            if sample_port is not None and config.balancer.wake.publish is not None:
                waker = SampleWaker(
                    config.balancer.wake.publish, config.balancer.management, sample_port
                )
                waker.put_to_sleep()
                waker.start()
        wait_for_signal(lambda: _show(console, config, sample=waker is not None))
        console.print("stopping")
    finally:
        stopping: list[GreenThread[None]] = []
        if waker is not None:
            stopping.append(spawn(waker.stop, name="stop the sample site"))
        stopping.append(spawn(_stop_in_order, balancer, logs, name="stop"))
        for thread in stopping:
            thread.join()


def _start(child: Child) -> Exception | None:
    # A failure is a value here, so that all have ended their start before the first is raised.
    try:
        child.start()
    except Exception as exc:  # noqa: BLE001 - raised by the caller
        return exc
    return None


def _stop_in_order(balancer: Child, logs: list[Child]) -> None:
    # The balancer first: its last access-log lines still find a server.
    balancer.stop(BALANCER_GRACE_S)
    for thread in [spawn(child.stop, LOGS_GRACE_S - BALANCER_GRACE_S) for child in logs]:
        thread.join()


def _show(console: Console, config: StackConfig, *, sample: bool) -> None:
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold")
    table.add_column()
    for address in config.balancer.bind:
        table.add_row("balancer", f"http://{address}")
    table.add_row("rules", f"http://{config.balancer.management}/hostname/")
    table.add_row("", f"kept in {config.balancer.state_dir}")
    for server in config.logs.server:
        table.add_row(f"logs {server.name}", f"collect {server.collect}  pull {server.pull}")
        table.add_row("", f"query {server.query}  kept in {server.data_dir}")
    console.print(Panel(table, title="verdant is up", title_align="left", border_style="green"))
    if sample:
        url = f"http://{config.balancer.bind[0]}/"
        console.print(f"Try, in another terminal ({SAMPLE_HOST} is asleep and wakes for you):")
        console.print(f"  curl -H 'Host: {SAMPLE_HOST}' {url}", soft_wrap=True)
    else:
        console.print("Try, in another terminal:")
    console.print("  verdant rules list")
    if config.logs.server:
        console.print("  verdant logs tail")
    console.print("Ctrl-C stops everything.")
