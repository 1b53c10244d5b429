"""Metrics: what is counted, as Prometheus reads it (text format 0.0.4).

Place     balancer/api; GET /metrics. Written by hand: a table of a million hosts must not become
          objects first.
Promise   totals count every request, and never go back while the process runs. At most
          `hosts_max` hosts have series of their own, those that had requests first; how many have
          none is a series too.
Not here  counting (statistics.py).

A label for the hosts without series, "other", would go back whenever one of them goes, and a
counter that goes back reads as a restart: the totals have them instead.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from verdant.balancer.rulebook import Rulebook

__all__ = ["CONTENT_TYPE", "metrics_text"]

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

# Name in the statistics, name of the metric, its kind, what it says.
_COUNTS = (
    ("open_requests", "open_requests", "gauge", "Requests under way now."),
    ("completed_requests", "requests_total", "counter", "Requests that are over."),
    ("bytes_sent", "sent_bytes_total", "counter", "Bytes to clients, heads included."),
    ("bytes_received", "received_bytes_total", "counter", "Bytes from clients, heads included."),
)


def metrics_text(rulebook: Rulebook, hosts_max: int) -> bytes:
    """The page. `hosts_max`: how many hosts get series of their own. Parks."""
    totals = rulebook.totals()
    shown, others_count = rulebook.first_counts(hosts_max)
    lines = [
        *_gauge("rules", "Hosts that have a rule.", len(rulebook.rules())),
        *_gauge("table_version", "The number of the latest change.", rulebook.version),
        *_gauge("held_requests", "Requests held until their host wakes.", rulebook.held()),
        *_gauge(
            "hosts_without_series",
            "Hosts with requests that are in the totals only.",
            others_count,
        ),
    ]
    for key, name, kind, meaning in _COUNTS:
        lines.extend(_head(f"verdant_balancer_{name}", kind, meaning))
        lines.append(f"verdant_balancer_{name} {totals[key]}")
    for key, name, kind, meaning in _COUNTS:
        lines.extend(_host_series(f"verdant_balancer_host_{name}", key, kind, meaning, shown))
    return ("\n".join(lines) + "\n").encode()


def _head(name: str, kind: str, meaning: str) -> list[str]:
    return [f"# HELP {name} {meaning}", f"# TYPE {name} {kind}"]


def _gauge(name: str, meaning: str, value: int) -> list[str]:
    full = f"verdant_balancer_{name}"
    return [*_head(full, "gauge", meaning), f"{full} {value}"]


def _host_series(
    name: str, key: str, kind: str, meaning: str, shown: Mapping[str, Mapping[str, int]]
) -> Iterator[str]:
    if not shown:
        return
    yield from _head(name, kind, meaning)
    for host, counts in shown.items():
        # Hosts are names of rules, which have no quotes, backslashes or line breaks.
        yield f'{name}{{host="{host}"}} {counts[key]}'
