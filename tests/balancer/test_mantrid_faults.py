"""What Mantrid got wrong, one test each: every one of them fails on Mantrid's behaviour."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from balancer.stage import OK, Peer, eventually, staged

from verdant.balancer.state import State

if TYPE_CHECKING:
    from pathlib import Path

    from balancer.stage import Stage

EMPTY = ["empty", {"code": 403}, False]


def test_a_post_is_sent_once_whatever_attempts_says(stage: Stage) -> None:
    backend = stage.backend()
    stage.rule(backend, attempts=3, delay=0)
    client = stage.client()
    client.say(b"POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 0\r\n\r\n")
    assert client.answer()[0] == 200
    assert len(backend.heads) == 1


def test_a_post_that_broke_off_is_not_sent_again(stage: Stage) -> None:
    heads: list[bytes] = []

    def take_and_close(peer: Peer) -> None:
        heads.append(peer.head())

    stage.rule(stage.backend(take_and_close), attempts=3, delay=0)
    status, _, _ = stage.get(b"Content-Length: 0\r\n", method=b"POST")
    assert status == 502
    assert len(heads) == 1


def test_no_bare_line_feed_reaches_a_backend(stage: Stage) -> None:
    backend = stage.backend()
    stage.rule(backend)
    assert stage.get(b"X-One: 1\r\nX-Two: 2\r\n")[0] == 200
    assert backend.heads[0].endswith(b"\r\n\r\n")
    assert not re.search(rb"(?<!\r)\n", backend.heads[0])


def test_a_chunked_upload_is_taken(stage: Stage) -> None:
    bodies: list[bytes] = []

    def serve(peer: Peer) -> None:
        peer.head()
        bodies.append(peer.until(b"0\r\n\r\n"))
        peer.say(OK)

    stage.rule(stage.backend(serve))
    client = stage.client()
    client.say(
        b"POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"5\r\nhello\r\n0\r\n\r\n"
    )
    assert client.answer()[0] == 200
    assert b"hello" in bodies[0]


def test_every_request_of_a_connection_is_routed_and_counted(stage: Stage) -> None:
    backend = stage.backend()
    stage.rule(backend)
    stage.manage("PUT", "/hostname/b.test/", EMPTY)
    client = stage.client()
    for host, status in ((b"a.test", 200), (b"b.test", 403), (b"c.test", 503), (b"a.test", 200)):
        client.say(b"GET / HTTP/1.1\r\nHost: %b\r\n\r\n" % host)
        assert client.answer()[0] == status
    assert len(backend.heads) == 2
    assert stage.manage("GET", "/stats/a.test")[1]["completed_requests"] == 2
    assert stage.manage("GET", "/stats/b.test")[1]["completed_requests"] == 1
    assert [record.host for record in stage.records] == ["a.test", "b.test", "c.test", "a.test"]


def test_nothing_is_answered_after_connection_close(stage: Stage) -> None:
    backend = stage.backend()
    stage.rule(backend)
    client = stage.client()
    request = b"GET / HTTP/1.1\r\nHost: a.test\r\n"
    client.say(request + b"Connection: close\r\n\r\n" + request + b"\r\n")
    assert client.answer()[0] == 200
    assert client.everything() == b""
    assert len(backend.heads) == 1


@pytest.mark.parametrize("host", [b"a.test:8080", b"A.TEST", b"a.test.", b"A.test.:80"])
def test_a_host_is_found_however_it_is_written(stage: Stage, host: bytes) -> None:
    stage.manage("PUT", "/hostname/a.test/", EMPTY)
    assert stage.get(host=host)[0] == 403


def test_exhausted_attempts_are_answered(stage: Stage) -> None:
    backend = stage.backend()
    pair = backend.pair
    backend.kill()
    stage.rule(pair, attempts=2, delay=0)
    status, _, body = stage.get()
    assert status in (502, 503, 504)
    assert body


@pytest.mark.parametrize("method", ["PUT"])
@pytest.mark.parametrize(
    ("rule", "fault"),
    [
        (["proxy", {"backends": []}, False], "host_kwarg_invalid:backends"),
        (["proxy", {}, False], "host_kwarg_missing:backends"),
        (["fly", {}, False], "host_action_invalid:fly"),
        ([], "host_details_wrong_length"),
        (["spin", {}, 1], "host_match_subdomains_not_bool"),
        ("spin", "host_details_not_list"),
    ],
)
def test_a_bad_rule_is_a_400_with_a_sentence(
    stage: Stage, method: str, rule: object, fault: str
) -> None:
    for path, document in (("/hostname/a.test", rule), ("/hostname/", {"a.test": rule})):
        status, answer = stage.manage(method, path, document)
        assert (status, answer["error"]) == (400, fault)
        assert " " in answer["message"]
    assert stage.manage("GET", "/hostname/") == (200, {})


def test_counters_outlive_a_change_of_the_rule_also_with_requests_under_way(stage: Stage) -> None:
    stage.manage("PUT", "/hostname/a.test/", EMPTY)
    stage.get()
    stage.manage("PUT", "/hostname/a.test/", ["spin", {}, False])
    held = stage.client()
    held.say(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n")
    eventually(lambda: stage.service.holding.held)
    assert stage.manage("GET", "/stats/a.test/")[1]["open_requests"] == 1
    stage.manage("PUT", "/hostname/a.test/", ["empty", {"code": 404}, False])
    assert held.answer()[0] == 404
    stage.manage("DELETE", "/hostname/a.test/")
    stage.manage("PUT", "/hostname/a.test/", EMPTY)
    stage.get()
    counts = stage.manage("GET", "/stats/a.test/")[1]
    assert (counts["open_requests"], counts["completed_requests"]) == (0, 3)
    assert counts["bytes_sent"] > 0
    assert counts["bytes_received"] > 0


def test_a_write_that_is_killed_tears_no_state(tmp_path: Path) -> None:
    program = f"""
import itertools
from verdant.balancer.state import State
from verdant.balancer import parse_rule
state = State({str(tmp_path)!r}, journal_bytes_max=2000)
for n in itertools.count():
    state.set("a.test", parse_rule(["empty", {{"code": 200 + n % 300}}, False]))
    print(200 + n % 300, flush=True)
"""
    for _ in range(3):
        process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
        assert process.stdout is not None
        said = [process.stdout.readline() for _ in range(50)]
        process.kill()
        said.extend(process.stdout.readlines())
        process.wait()
        process.stdout.close()
        whole = [int(line) for line in said if line.endswith(b"\n")]
        with State(tmp_path) as state:
            kept: Any = state.rules["a.test"].arguments
            # The last that was acknowledged, or the one that was being written.
            assert kept.code in (whole[-1], 200 + (whole[-1] - 199) % 300)


def test_an_answer_means_that_it_is_on_disk(tmp_path: Path) -> None:
    with staged(tmp_path) as stage:
        stage.manage("PUT", "/hostname/a.test/", EMPTY)
        journal = (tmp_path / "state" / "journal.jsonl").read_bytes()
        assert json.loads(journal)["change"]["put"] == {"a.test": EMPTY}


def test_a_held_request_hears_of_its_rule_at_once(stage: Stage) -> None:
    # Mantrid looks every `check_interval`: an hour here.
    stage.manage("PUT", "/hostname/a.test/", ["spin", {"check_interval": 3600}, False])
    client = stage.client()
    client.say(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n")
    eventually(lambda: stage.service.holding.held)
    stage.manage("PUT", "/hostname/a.test/", EMPTY)
    assert client.answer()[0] == 403


def test_held_requests_are_bounded(tmp_path: Path) -> None:
    with staged(tmp_path, held_per_host_max=2, held_requests_max=2) as stage:
        stage.manage("PUT", "/hostname/a.test/", ["spin", {}, False])
        clients = [stage.client() for _ in range(2)]
        for client in clients:
            client.say(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n")
        eventually(lambda: stage.service.holding.held == 2)
        status, head, _ = stage.get()
        assert status == 503
        assert b"retry-after" in head.lower()


def test_a_client_that_dawdles_is_let_go(tmp_path: Path) -> None:
    with staged(tmp_path, head_timeout_s=0.1, idle_timeout_s=0.1) as stage:
        slow, silent = stage.client(), stage.client()
        slow.say(b"GET / HTTP/1.1\r\nHos")
        assert slow.answer()[0] == 408
        assert silent.everything() == b""


def test_a_backend_that_dawdles_is_let_go(tmp_path: Path) -> None:
    with staged(tmp_path, backend_response_timeout_s=0.1) as stage:
        stage.rule(stage.backend(lambda peer: peer.everything()))
        assert stage.get()[0] == 504


def test_nothing_of_root_is_left() -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give root up")
    program = """
import os, pathlib, tempfile
from verdant.cli.privileges import become
os.setgroups([0, 6])
become("4321", "4322", tempfile.mkdtemp())
lines = pathlib.Path("/proc/self/status").read_text().splitlines()
print([line.split()[1:] for line in lines if line.startswith(("Uid", "Gid", "Groups"))])
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == str([["4321"] * 4, ["4322"] * 4, ["4322"]])
