from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from balancer.api.asking import EMPTY, SPIN, ask
from balancer.stage import eventually, staged

from verdant.balancer.statistics import RETIRED_HOSTS_MAX, Statistics

if TYPE_CHECKING:
    from pathlib import Path

    from balancer.stage import Stage

Samples = dict[tuple[str, str], float]


def scrape(stage: Stage) -> Samples:
    """Every sample, by name and host, as Prometheus's own parser reads them."""
    parser = pytest.importorskip(
        "prometheus_client.parser", reason="prometheus-client is not installed (extra: dev)"
    )
    said = ask(stage, "GET", "/metrics")
    assert said.fields["content-type"].startswith("text/plain; version=0.0.4")
    samples: Samples = {}
    for family in parser.text_string_to_metric_families(said.body.decode()):
        assert family.documentation
        assert family.type in ("gauge", "counter")
        for sample in family.samples:
            key = (sample.name, sample.labels.get("host", ""))
            assert key not in samples
            samples[key] = sample.value
    return samples


def test_requests_are_counted_in_all_and_by_host(stage: Stage) -> None:
    ask(stage, "PUT", "/v1/hosts", {"a.test": EMPTY, "b.test": SPIN})
    stage.get(host=b"a.test")
    stage.get(host=b"a.test")
    stage.get(host=b"unknown.test")
    held = stage.client()
    held.say(b"GET / HTTP/1.1\r\nHost: b.test\r\n\r\n")
    eventually(lambda: stage.service.holding.held)
    samples = scrape(stage)
    prefix = "verdant_balancer_"
    assert samples[prefix + "rules", ""] == 2
    assert samples[prefix + "table_version", ""] == 1
    assert samples[prefix + "held_requests", ""] == 1
    assert samples[prefix + "open_requests", ""] == 1
    assert samples[prefix + "requests_total", ""] == 3
    assert samples[prefix + "host_requests_total", "a.test"] == 2
    assert samples[prefix + "host_open_requests", "b.test"] == 1
    statistics = stage.manage("GET", "/stats/a.test/")[1]
    assert samples[prefix + "host_sent_bytes_total", "a.test"] == statistics["bytes_sent"]
    assert samples[prefix + "host_received_bytes_total", "a.test"] == statistics["bytes_received"]


def test_series_are_bounded_and_totals_are_not(tmp_path: Path) -> None:
    with staged(tmp_path, metrics_hosts_max=2) as stage:
        ask(stage, "PUT", "/v1/hosts", {f"h{n}.test": EMPTY for n in range(5)})
        for n in range(5):
            stage.get(host=b"h%d.test" % n)
        samples = scrape(stage)
        hosts = {host for _, host in samples if host}
        assert hosts == {"h0.test", "h1.test"}
        assert samples["verdant_balancer_hosts_without_series", ""] == 3
        assert samples["verdant_balancer_requests_total", ""] == 5


def test_totals_never_go_back(stage: Stage) -> None:
    ask(stage, "PUT", "/v1/hosts/a.test", EMPTY)
    stage.get(host=b"a.test")
    ask(stage, "DELETE", "/v1/hosts/a.test")
    assert scrape(stage)["verdant_balancer_requests_total", ""] == 1


def test_totals_keep_what_is_forgotten() -> None:
    statistics = Statistics()
    for n in range(RETIRED_HOSTS_MAX + 10):
        key = b"h%d" % n
        statistics.counters(key).completed_requests += 1
        statistics.retire([key])
    assert statistics.totals()["completed_requests"] == RETIRED_HOSTS_MAX + 10
