from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest
from balancer.api.asking import EMPTY, SPIN, ask
from balancer.stage import PATIENCE_S, Peer, eventually, staged
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.test import EnvironBuilder
from werkzeug.wrappers import Request

from verdant import Timeout, spawn
from verdant.balancer import FeedConfig, changefeed
from verdant.balancer.api import events
from verdant.balancer.api.events import Events
from verdant.balancer.changefeed import Change, ChangeFeed, Gap
from verdant.net import connect
from verdant.zmq import SUB, SUBSCRIBE, Context

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from balancer.stage import Stage


class Follower:
    """A client of /v1/changes that reads one event at a time."""

    def __init__(self, stage: Stage, after: int | None = None, query: str = "") -> None:
        self.stream = connect(stage.service.management_address)
        self.peer = Peer(self.stream)
        field = b"" if after is None else b"Last-Event-ID: %d\r\n" % after
        target = b"/v1/changes" + query.encode()
        self.peer.say(b"GET %b HTTP/1.1\r\nHost: localhost\r\n%b\r\n" % (target, field))
        head = self.peer.head()
        assert head.startswith(b"HTTP/1.1 200 "), head
        assert b"text/event-stream" in head.lower()
        assert self._piece().startswith(b": following from ")

    def _piece(self) -> bytes:
        size = int(self.peer.until(b"\r\n"), 16)
        piece = self.peer.take(size)
        self.peer.take(2)
        return piece

    def event(self) -> tuple[str, int, dict[str, Any]]:
        lines = self._piece().decode().split("\n")
        assert lines[3:] == ["", ""]
        number, name, data = (line.split(": ", 1)[1] for line in lines[:3])
        return name, int(number), json.loads(data)

    def close(self) -> None:
        self.stream.close()


def test_a_follower_hears_every_change_with_its_number(stage: Stage) -> None:
    follower = Follower(stage)
    tag = ask(stage, "PUT", "/v1/hosts/a.test", SPIN).tag
    stage.manage("PUT", "/hostname/b.test/", ["empty", {"code": 403}, True])
    ask(stage, "PUT", "/v1/hosts/a.test", SPIN)  # no change
    ask(stage, "POST", "/v1/hosts", {"put": {"c.test": SPIN}, "delete": ["a.test", "b.test"]})
    name, number, data = follower.event()
    assert (name, number) == ("change", 1)
    at = data.pop("at")
    assert at.endswith("Z")
    assert data == {
        "version": 1,
        "after": 0,
        "put": {"a.test": {**SPIN, "etag": tag.strip('"')}},
        "delete": [],
        "by": "local@127.0.0.1",
    }
    assert follower.event()[2]["put"]["b.test"]["action"] == "empty"
    name, number, data = follower.event()
    assert (number, data["after"], sorted(data["delete"])) == (3, 2, ["a.test", "b.test"])
    follower.close()


def test_who_comes_back_misses_nothing(stage: Stage) -> None:
    for n in range(5):
        ask(stage, "PUT", f"/v1/hosts/h{n}.test", SPIN)
    for follower in (Follower(stage, 2), Follower(stage, query="?after=2")):
        assert [follower.event()[1] for _ in range(3)] == [3, 4, 5]
        follower.close()
    follower = Follower(stage, 5)
    ask(stage, "DELETE", "/v1/hosts/h0.test")
    assert follower.event()[:2] == ("change", 6)
    follower.close()


def test_what_is_not_kept_is_a_gap_and_then_it_goes_on(tmp_path: Path) -> None:
    with staged(tmp_path) as stage:
        for n in range(3):
            ask(stage, "PUT", f"/v1/hosts/h{n}.test", SPIN)
    with staged(tmp_path) as stage:
        # Nothing was missed over the restart; something was; a number from a table that is gone.
        same, older, stranger = Follower(stage, 3), Follower(stage, 1), Follower(stage, 99)
        ask(stage, "PUT", "/v1/hosts/new.test", SPIN)
        assert same.event()[:2] == ("change", 4)
        for follower in (older, stranger):
            name, number, data = follower.event()
            assert (name, number, data["version"]) == ("gap", 3, 3)
            assert follower.event()[:2] == ("change", 4)
        for follower in (same, older, stranger):
            follower.close()


def test_a_change_too_large_to_tell_is_a_gap(stage: Stage) -> None:
    follower = Follower(stage)
    count = changefeed.HOSTS_TOLD_MAX + 1
    ask(stage, "PUT", "/v1/hosts", {f"h{n}.test": SPIN for n in range(count)})
    assert follower.event()[:2] == ("gap", 1)
    follower.close()


def test_a_silent_feed_shows_that_it_lives_and_a_client_that_left_is_let_go() -> None:
    feed = ChangeFeed(7)
    made = Events(feed, heartbeat_s=0.01)
    response = made.changes(Request(EnvironBuilder("/v1/changes").get_environ()))
    pieces: Iterator[bytes] = iter(response.response)  # type: ignore[arg-type]
    assert next(pieces) == b": following from 7\n\n"
    assert made._followers_count == 1
    assert next(pieces) == b": still here\n\n"
    response.close()
    pieces.close()  # type: ignore[attr-defined]
    assert made._followers_count == 0


def test_followers_are_bounded(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "FOLLOWERS_MAX", 1)
    first = Follower(stage)
    said = ask(stage, "GET", "/v1/changes")
    assert (said.status, said.fields["retry-after"]) == (503, "5")
    first.close()


@pytest.mark.parametrize("number", ["-1", "x", "1.5", "9" * 30])
def test_a_number_that_is_none_is_a_400(stage: Stage, number: str) -> None:
    assert ask(stage, "GET", "/v1/changes", Last_Event_ID=number).status == 400


def test_a_stop_ends_the_followers(tmp_path: Path) -> None:
    with staged(tmp_path) as stage:
        follower = Follower(stage)
    # Chunks that end before the last one: the client knows that it must come back.
    assert follower.peer.everything() == b""
    follower.close()


def change(version: int, after: int, hosts: int = 1) -> Change:
    rules: Any = {f"h{n}": object() for n in range(hosts)}
    return Change(version, after, rules, (), "me", 0.0)


def test_memory_is_bounded_by_changes_and_by_hosts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changefeed, "CHANGES_KEPT_MAX", 3)
    monkeypatch.setattr(changefeed, "HOSTS_KEPT_MAX", 10)
    feed = ChangeFeed(0)
    for version in range(1, 6):
        feed.append(change(version, version - 1))
    assert feed.since(1) is None
    assert [c.version for c in feed.since(2) or ()] == [3, 4, 5]
    feed.append(change(6, 5, hosts=9))
    assert feed.since(4) is not None
    assert feed.since(3) is None


def test_a_follower_that_is_overtaken_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changefeed, "CHANGES_KEPT_MAX", 3)
    feed = ChangeFeed(0)
    following = feed.follow(0)
    feed.append(change(1, 0))
    assert isinstance(next(following), Change)
    for version in range(2, 9):
        feed.append(change(version, version - 1))
    assert next(following) == Gap(8, "you read more slowly than changes came")
    feed.append(last := change(9, 8))
    assert next(following) is last


@given(st.lists(st.tuples(st.integers(1, 3), st.booleans()), max_size=20), st.integers(0, 70))
def test_since_gives_all_that_came_after_and_nothing_else(
    steps: list[tuple[int, bool]], asked: int
) -> None:
    feed = ChangeFeed(5)
    versions = []
    for step, failed in steps:
        if failed:
            # A write that failed used a number up.
            feed.skip_to(feed.version + step)
        else:
            feed.append(change(feed.version + 1, feed.version))
            versions.append(feed.version)
    found = feed.since(asked)
    if asked < 5 or asked > feed.version:
        assert found is None
    else:
        assert [c.version for c in found or ()] == [v for v in versions if v > asked]


def test_a_failed_write_is_no_gap_for_who_reads_the_table(stage: Stage) -> None:
    feed = stage.service.rulebook.feed
    ask(stage, "PUT", "/v1/hosts/a.test", SPIN)
    state: Any = stage.service._state
    fd, state._journal_fd = state._journal_fd, -1
    assert ask(stage, "PUT", "/v1/hosts/a.test", EMPTY).status == 507
    os.close(fd)
    version = ask(stage, "GET", "/v1/hosts").body["version"]
    assert version == feed.version
    follower = Follower(stage, version)
    ask(stage, "PUT", "/v1/hosts/a.test", EMPTY)
    name, number, data = follower.event()
    assert (name, number > version, data["after"]) == ("change", True, version)
    follower.close()


def test_changes_are_published(tmp_path: Path) -> None:
    endpoint = f"ipc://{tmp_path}/changes"
    context = Context()
    try:
        with staged(tmp_path, feed=FeedConfig(publish=endpoint)) as stage, Timeout(PATIENCE_S):
            socket = context.socket(SUB)
            socket.setsockopt(SUBSCRIBE, b"change")
            socket.connect(endpoint)
            heard: list[list[bytes]] = []
            listening = spawn(lambda: heard.append(socket.recv_multipart()))
            changes = iter(range(10_000))
            # A subscription takes effect when it arrives, and nobody says when that is.
            eventually(
                lambda: (
                    ask(stage, "PUT", f"/v1/hosts/h{next(changes)}.test", SPIN).status != 200
                    or heard
                )
            )
            listening.wait()
            kind, number, data = heard[0]
            assert kind == b"change"
            told = json.loads(data)
            assert (told["version"], told["after"]) == (int(number), int(number) - 1)
            tag = ask(stage, "GET", f"/v1/hosts/{next(iter(told['put']))}").body["etag"]
            assert next(iter(told["put"].values())) == {**SPIN, "etag": tag}
    finally:
        context.destroy(linger=0)
