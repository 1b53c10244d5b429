"""One exchange through the proxy, on real sockets: streaming, framing, expectations."""

from __future__ import annotations

import pytest
from balancer.stage import OK, Backend, Peer, Stage, eventually, hang

from verdant import Event, spawn

POST = b"POST / HTTP/1.1\r\nHost: a.test\r\n"
GET = b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"


def hello(peer: Peer) -> None:
    while peer.head():
        peer.say(OK)


def test_a_connection_is_kept_and_used_again(stage: Stage) -> None:
    backend = stage.backend()
    stage.rule(backend)
    client = stage.client()
    for _ in range(3):
        client.say(GET)
        assert client.answer() == (200, OK[:-5], b"hello")
    assert stage.get()[0] == 200
    assert backend.connections == 1
    assert len(backend.heads) == 4


def test_pipelined_requests_are_answered_in_order(stage: Stage) -> None:
    def echo_target(peer: Peer) -> None:
        while head := peer.head():
            target = head.split(b" ")[1]
            peer.say(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(target), target))

    stage.rule(stage.backend(echo_target))
    client = stage.client()
    targets = [b"/%d" % number for number in range(20)]
    client.say(b"".join(b"GET %b HTTP/1.1\r\nHost: a.test\r\n\r\n" % target for target in targets))
    assert [client.answer()[2] for _ in targets] == targets


def test_a_client_may_close_its_half_and_still_hear_the_answer(stage: Stage) -> None:
    stage.rule(stage.backend())
    client = stage.client()
    client.say(GET)
    client.stream.send_eof()
    assert client.everything() == OK


def test_an_event_stream_passes_as_it_comes(stage: Stage) -> None:
    heard = Event()

    def events(peer: Peer) -> None:
        peer.head()
        peer.say(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
        for number in range(3):
            peer.say(b"data: %d\n\n" % number)
            # The next one only when this one has arrived at the far end.
            heard.wait()
            heard.clear()

    stage.rule(stage.backend(events))
    client = stage.client()
    client.say(GET)
    assert b"Transfer-Encoding: chunked" in client.head()
    for number in range(3):
        assert client.until(b"\n\n").endswith(b"data: %d\n\n" % number)
        heard.set()
    assert client.until(b"0\r\n\r\n")
    # It was whole, so the connection goes on.
    client.say(GET)
    assert client.head()


def test_a_long_poll_is_answered_when_it_is(stage: Stage) -> None:
    asked, due = Event(), Event()

    def poll(peer: Peer) -> None:
        peer.head()
        asked.set()
        due.wait()
        peer.say(OK)

    stage.rule(stage.backend(poll))
    client = stage.client()
    client.say(GET)
    asked.wait()
    due.set()
    assert client.answer()[2] == b"hello"


def test_a_slow_client_holds_the_backend_back(stage: Stage) -> None:
    piece = b"x" * 65_536
    sent = 0

    def flood(peer: Peer) -> None:
        nonlocal sent
        peer.head()
        peer.say(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (640 * len(piece)))
        for _ in range(640):
            peer.say(piece)
            sent += 1

    stage.rule(stage.backend(flood))
    client = stage.client()
    client.say(GET)
    client.head()
    # It comes to a stop by itself, long before the end: buffers are full all the way.
    stopped = -1
    while stopped != sent:
        stopped = sent
        for _ in range(50):
            stage.get(host=b"other.test")
    assert 0 < sent < 500
    client.skip(640 * len(piece))
    eventually(lambda: sent == 640)


def test_a_slow_backend_holds_the_client_back(stage: Stage) -> None:
    go = Event()
    size = 40 * 1024 * 1024

    def sip(peer: Peer) -> None:
        peer.head()
        go.wait()
        peer.skip(size)
        peer.say(OK)

    stage.rule(stage.backend(sip))
    client = stage.client()
    sent = 0

    def upload() -> None:
        nonlocal sent
        client.say(POST + b"Content-Length: %d\r\n\r\n" % size)
        piece = b"x" * 65_536
        for _ in range(size // len(piece)):
            client.say(piece)
            sent += len(piece)

    uploading = spawn(upload)
    stopped = -1
    while stopped != sent:
        stopped = sent
        for _ in range(50):
            stage.get(host=b"other.test")
    assert sent < size * 3 // 4
    go.set()
    assert client.answer()[2] == b"hello"
    uploading.join()


def test_an_answer_may_come_before_the_body_is_out(stage: Stage) -> None:
    def refuse(peer: Peer) -> None:
        peer.head()
        peer.say(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n")
        peer.everything()

    stage.rule(stage.backend(refuse))
    client = stage.client()
    client.say(POST + b"Content-Length: 1000000\r\n\r\n" + b"x" * 1000)
    assert client.answer()[0] == 413


def test_both_ways_at_once(stage: Stage) -> None:
    def echo(peer: Peer) -> None:
        peer.head()
        peer.say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while size := int(peer.until(b"\r\n"), 16):
            peer.say(b"%x\r\n%b\r\n" % (size, peer.take(size)))
            peer.take(2)
        peer.say(b"0\r\n\r\n")
        peer.everything()

    stage.rule(stage.backend(echo))
    client = stage.client()
    client.say(POST + b"Transfer-Encoding: chunked\r\n\r\n")
    client.head()
    for word in (b"one", b"twelve", b"x" * 40_000):
        client.say(b"%x\r\n%b\r\n" % (len(word), word))
        got = b""
        while len(got) < len(word):
            size = int(client.until(b"\r\n"), 16)
            got += client.take(size)
            client.take(2)
        assert got == word
    client.say(b"0\r\n\r\n")
    assert client.until(b"0\r\n\r\n")


def test_trailers_pass_both_ways_but_not_those_that_may_not(stage: Stage) -> None:
    asked = []

    def trail(peer: Peer) -> None:
        asked.append(peer.head())
        asked.append(peer.until(b"\r\n\r\n"))
        peer.say(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n"
            b"3\r\nabc\r\n0\r\nX-Sum: 9\r\nContent-Length: 7\r\nSet-Cookie: a=b\r\n\r\n"
        )
        peer.everything()

    stage.rule(stage.backend(trail))
    client = stage.client()
    # The body comes after the head, not with it, so that it is streamed.
    client.say(POST + b"Transfer-Encoding: chunked\r\nTE: trailers\r\n\r\n")
    eventually(lambda: asked)
    client.say(b"2\r\nhi\r\n0\r\nX-Mine: 1\r\nHost: evil.test\r\nX-Forwarded-For: 1.2.3.4\r\n\r\n")
    status, head, body = client.answer()
    assert (status, body) == (200, b"abc")
    assert head.endswith(b"\r\n\r\nX-Sum: 9\r\n")
    assert b"TE: trailers\r\n" in asked[0]
    assert asked[1] == b"2\r\nhi\r\n0\r\nX-Mine: 1\r\n\r\n"


def test_continue_is_the_backend_s_to_say(stage: Stage) -> None:
    asked = []
    say_so = Event()

    def careful(peer: Peer) -> None:
        asked.append(peer.head())
        say_so.wait()
        peer.say(b"HTTP/1.1 100 Continue\r\n\r\n")
        asked.append(peer.take(4))
        peer.say(OK)
        peer.everything()

    stage.rule(stage.backend(careful))
    client = stage.client()
    client.say(POST + b"Content-Length: 4\r\nExpect: 100-continue\r\n\r\n")
    eventually(lambda: asked)
    assert b"Expect: 100-continue\r\n" in asked[0]
    say_so.set()
    assert client.answer()[0] == 100
    client.say(b"body")
    assert client.answer()[2] == b"hello"
    assert asked[1] == b"body"


def test_a_backend_that_hangs_before_it_says_continue_is_a_504(stage: Stage) -> None:
    stage.rule(stage.backend(hang), head_timeout_s=0.1)
    client = stage.client()
    client.say(POST + b"Content-Length: 4\r\nExpect: 100-continue\r\n\r\n")
    assert client.answer()[0] == 504


def test_a_refused_expectation_ends_the_connection_after_the_answer(stage: Stage) -> None:
    def refuse(peer: Peer) -> None:
        peer.head()
        peer.say(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
        peer.everything()

    stage.rule(stage.backend(refuse))
    client = stage.client()
    client.say(POST + b"Content-Length: 4\r\nExpect: 100-continue\r\n\r\n")
    status, head, _ = client.answer()
    assert status == 403
    # Where the next request would begin, nobody knows: is the body still to come?
    assert b"Connection: close" in head
    assert client.everything() == b""


def test_a_dead_backend_behind_an_expectation_ends_the_connection_too(stage: Stage) -> None:
    backend = stage.backend()
    backend.kill()
    stage.rule(backend)
    client = stage.client()
    client.say(POST + b"Content-Length: 4\r\nExpect: 100-continue\r\n\r\n")
    status, head, _ = client.answer()
    assert status == 502
    assert b"Connection: close" in head


def test_early_hints_pass_to_those_who_know_them(stage: Stage) -> None:
    hint = b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n"

    def hinting(peer: Peer) -> None:
        while peer.head():
            peer.say(b"HTTP/1.1 100 Continue\r\n\r\n" + hint + OK)

    stage.rule(stage.backend(hinting))
    client = stage.client()
    client.say(GET)
    # Nobody asked for the 100.
    assert client.head() == hint
    assert client.answer()[2] == b"hello"
    client = stage.client()
    client.say(b"GET / HTTP/1.0\r\nHost: a.test\r\n\r\n")
    assert client.everything().startswith(b"HTTP/1.1 200 OK\r\n")


@pytest.mark.parametrize("status", [b"204 No Content", b"304 Not Modified", b"200 OK"])
def test_answers_without_a_body_leave_the_connection_usable(stage: Stage, status: bytes) -> None:
    method = b"HEAD" if status == b"200 OK" else b"GET"
    length = b"" if status.startswith(b"204") else b"Content-Length: 10\r\n"

    def bodiless(peer: Peer) -> None:
        while peer.head():
            peer.say(b"HTTP/1.1 %b\r\n%b\r\n" % (status, length))

    backend = stage.backend(bodiless)
    stage.rule(backend)
    client = stage.client()
    for _ in range(2):
        client.say(method + b" / HTTP/1.1\r\nHost: a.test\r\n\r\n")
        found, head, _ = client.answer(bodiless=True)
        assert found == int(status[:3])
        assert length in head
        assert b"close" not in head
    assert backend.connections == 1


def test_an_http_1_0_client_gets_its_end_by_the_close(stage: Stage) -> None:
    def chunks(peer: Peer) -> None:
        peer.head()
        peer.say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")
        peer.everything()

    stage.rule(stage.backend(chunks))
    client = stage.client()
    client.say(b"GET / HTTP/1.0\r\nHost: a.test\r\n\r\n")
    got = client.everything()
    assert got.endswith(b"\r\n\r\nabc")
    assert b"chunked" not in got
    assert not client.stream.broken


def test_the_access_log_names_the_backend(stage: Stage) -> None:
    backend = stage.backend()
    stage.rule(backend)
    stage.get(path=b"/x")
    (record,) = [r for r in stage.records if r.target == "/x"]
    assert record.backend == f"127.0.0.1:{backend.port}"
    assert (record.status, record.action) == (200, "proxy")


def test_backends_are_told_apart(stage: Stage) -> None:
    one, two = Backend(), Backend()
    try:
        stage.rule(one, host="one.test")
        stage.rule(two, host="two.test")
        stage.get(host=b"two.test")
        assert (len(one.heads), len(two.heads)) == (0, 1)
    finally:
        one.close()
        two.close()
