"""What a rule changes in heads: the pure parts, and the whole on real sockets."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verdant.balancer.forwarding import end_to_end_trailers
from verdant.balancer.keys import cookie_reader, field_reader
from verdant.balancer.rewriting import forwarded_element, moved_target

if TYPE_CHECKING:
    from balancer.stage import Peer, Stage


@pytest.mark.parametrize(
    ("target", "strip", "add", "moved"),
    [
        (b"/app/x?q=/app", b"/app", b"", b"/x?q=/app"),
        (b"/app", b"/app", b"", b"/"),
        (b"/app?q", b"/app", b"", b"/?q"),
        (b"/apple", b"/app", b"", b"/apple"),
        (b"/other", b"/app", b"/v1", b"/v1/other"),
        (b"/app/x", b"/app", b"/v1", b"/v1/x"),
        (b"/", b"", b"/v1", b"/v1/"),
        (b"*", b"/app", b"/v1", b"*"),
        (b"/app//evil.test/x", b"/app", b"", b"//evil.test/x"),
    ],
)
def test_prefixes_move_by_whole_segments(
    target: bytes, strip: bytes, add: bytes, moved: bytes
) -> None:
    assert moved_target(target, strip, add) == moved


segments = st.lists(st.sampled_from([b"a", b"b", b"app"]), min_size=1, max_size=3).map(
    lambda parts: b"/" + b"/".join(parts)
)


@given(segments, segments)
def test_a_prefix_that_is_added_can_be_stripped_again(path: bytes, prefix: bytes) -> None:
    assert moved_target(moved_target(path, b"", prefix), prefix, b"") == path


@pytest.mark.parametrize(
    ("client", "host", "element"),
    [
        (b"192.0.2.1", b"a.test", b"for=192.0.2.1;proto=https;host=a.test"),
        (b"2001:db8::1", b"a.test:80", b'for="[2001:db8::1]";proto=https;host="a.test:80"'),
        (b"", None, b"for=unknown;proto=https"),
    ],
)
def test_forwarded_is_written_as_its_rfc_says(
    client: bytes, host: bytes | None, element: bytes
) -> None:
    assert forwarded_element(client, b"https", host) == element


def test_fields_and_cookies_are_found_by_name() -> None:
    head = b"GET / HTTP/1.1\r\nx-a: 1 \r\nX-AB: 2\r\nCookie: xid=0; id=7; other=8"
    assert field_reader("X-A")(head) == b"1"
    assert field_reader("X-C")(head) is None
    assert cookie_reader("id")(head) == b"7"
    assert cookie_reader("xid")(head) == b"0"
    assert cookie_reader("d")(head) is None
    assert cookie_reader("id")(b"GET / HTTP/1.1\r\nCookie:id=1") == b"1"


def test_trailers_lose_what_they_may_not_say() -> None:
    lines = b"\r\nX-Sum: 1\r\ncontent-length: 5\r\nIf-Match: x\r\nX_Forwarded_For: y\r\nETag: z"
    assert end_to_end_trailers(lines) == b"\r\nX-Sum: 1\r\nETag: z"


def fields(head: bytes, name: bytes) -> list[bytes]:
    return re.findall(rb"\r\n" + name + rb": *([^\r]*)", head, re.IGNORECASE)


def test_fields_are_removed_set_and_added_both_ways(stage: Stage) -> None:
    backend = stage.backend()

    def answer(peer: Peer) -> None:
        while head := peer.head():
            backend.heads.append(head)
            peer.say(
                b"HTTP/1.1 200 OK\r\nServer: secret/1.0\r\nX-Old: 1\r\nX-Old: 2\r\n"
                b"Content-Length: 2\r\n\r\nok"
            )

    backend.script = answer
    stage.rule(
        backend,
        request_headers={
            "remove": ["X-Debug"],
            "set": {"Host": "inner.test", "X-Tier": "gold"},
            "add": {"X-Via": "edge"},
        },
        response_headers={
            "remove": ["Server"],
            "set": {"X-Old": "new"},
            "add": {"Strict-Transport-Security": "max-age=60"},
        },
    )
    status, head, body = stage.get(b"x-debug: 1\r\nX-Tier: free\r\nX-Via: client\r\n")
    assert (status, body) == (200, b"ok")
    assert fields(head, b"server") == []
    assert fields(head, b"x-old") == [b"new"]
    assert fields(head, b"strict-transport-security") == [b"max-age=60"]
    (asked,) = backend.heads
    assert fields(asked, b"x-debug") == []
    assert fields(asked, b"x-tier") == [b"gold"]
    assert fields(asked, b"x-via") == [b"client", b"edge"]
    assert fields(asked, b"host") == [b"inner.test"]
    assert fields(asked, b"x-forwarded-host") == [b"a.test"]


def test_what_a_rule_sets_stands_in_place_of_ours(stage: Stage) -> None:
    backend = stage.backend()
    stage.rule(
        backend,
        request_headers={"set": {"X-Forwarded-Proto": "https", "Host": "inner.test"}},
    )
    stage.get()
    client = stage.client()
    client.say(b"GET http://a.test/x HTTP/1.0\r\n\r\n")
    assert client.everything().endswith(b"hello")
    for asked in backend.heads:
        assert fields(asked, b"x-forwarded-proto") == [b"https"]
        assert fields(asked, b"host") == [b"inner.test"]
    assert len(backend.heads) == 2


def test_prefixes_are_stripped_and_told(stage: Stage) -> None:
    backend = stage.backend()
    stage.rule(backend, strip_prefix="/app", add_prefix="/v1")
    stage.get(path=b"/app/x?y=1")
    stage.get(path=b"http://a.test/app")
    lines = [head.split(b"\r\n")[0] for head in backend.heads]
    assert lines == [b"GET /v1/x?y=1 HTTP/1.1", b"GET /v1/ HTTP/1.1"]
    assert fields(backend.heads[0], b"x-forwarded-prefix") == [b"/app"]


CLAIMS = (
    b"X-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Prefix: /evil\r\n"
    b"Forwarded: for=192.0.2.7;proto=https\r\nX-Real-IP: 192.0.2.7\r\nX-Request-Id: mine\r\n"
)


@pytest.mark.parametrize("forwarded", ["x", "rfc7239", "both", "none"])
def test_no_claim_from_outside_passes(stage: Stage, forwarded: str) -> None:
    backend = stage.backend()
    stage.rule(backend, forwarded=forwarded, request_id="X-Request-Id")
    _, head, _ = stage.get(CLAIMS)
    (asked,) = backend.heads
    assert b"192.0.2.7" not in asked
    assert b"evil" not in asked
    told = forwarded in ("x", "both")
    assert fields(asked, b"x-forwarded-for") == [b"127.0.0.1"] * told
    assert fields(asked, b"x-forwarded-proto") == [b"http"] * told
    listed = forwarded in ("rfc7239", "both")
    assert fields(asked, b"forwarded") == [b"for=127.0.0.1;proto=http;host=a.test"] * listed
    (given_id,) = fields(asked, b"x-request-id")
    assert re.fullmatch(rb"[0-9a-f]{32}", given_id)
    assert fields(head, b"x-request-id") == [given_id]


def test_a_trusted_peer_s_word_is_kept(stage: Stage) -> None:
    backend = stage.backend()
    stage.rule(backend, forwarded="both", request_id="X-Request-Id")
    _, head, _ = stage.get(CLAIMS, internal=True)
    (asked,) = backend.heads
    assert fields(asked, b"x-forwarded-for") == [b"192.0.2.7, 127.0.0.1"]
    assert fields(asked, b"x-forwarded-proto") == [b"https"]
    assert fields(asked, b"forwarded") == [
        b"for=192.0.2.7;proto=https, for=127.0.0.1;proto=https;host=a.test"
    ]
    assert fields(asked, b"x-request-id") == fields(head, b"x-request-id") == [b"mine"]


def test_forwarded_alone_tells_the_protocol_too(stage: Stage) -> None:
    backend = stage.backend()
    stage.rule(backend)
    stage.get(b'Forwarded: for=192.0.2.7;proto="https", for=10.0.0.1;proto=http\r\n', internal=True)
    stage.get(b"Forwarded: proto=https\r\n")
    assert fields(backend.heads[0], b"x-forwarded-proto") == [b"https"]
    assert fields(backend.heads[1], b"x-forwarded-proto") == [b"http"]


def test_a_request_keeps_its_id_over_its_attempts(stage: Stage) -> None:
    lost = stage.backend()

    def lose(peer: Peer) -> None:
        lost.heads.append(peer.head())
        peer.stream.break_off()

    lost.script = lose
    good = stage.backend()
    stage.rule(
        lost, good, policy="round_robin", attempts=2, delay=0, request_id="X-Id", eject_after=0
    )
    stage.get()
    assert fields(lost.heads[0], b"x-id") == fields(good.heads[0], b"x-id")


def test_streamed_bodies_pass_edits_too(stage: Stage) -> None:
    backend = stage.backend()

    def read(peer: Peer) -> None:
        backend.heads.append(peer.head())
        backend.heads.append(peer.until(b"0\r\n\r\n"))
        peer.say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n")

    backend.script = read
    stage.rule(
        backend, request_headers={"set": {"X-A": "1"}}, response_headers={"set": {"X-B": "2"}}
    )
    client = stage.client()
    client.say(b"POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n")
    client.say(b"2\r\nhi\r\n0\r\n\r\n")
    status, head, body = client.answer()
    assert (status, body, fields(head, b"x-b")) == (200, b"ok", [b"2"])
    assert fields(backend.heads[0], b"x-a") == [b"1"]
    assert backend.heads[1] == b"2\r\nhi\r\n0\r\n\r\n"
