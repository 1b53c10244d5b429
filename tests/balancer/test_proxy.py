"""One exchange through the proxy, on real sockets: streaming, framing, and backends that fail."""

from __future__ import annotations

import pytest
from balancer.stage import OK, Backend, Peer, Stage, eventually

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


def cut(answer: bytes, *, reset: bool = False) -> object:
    def script(peer: Peer) -> None:
        peer.head()
        peer.say(answer)
        if reset:
            peer.stream.break_off()

    return script


GARBAGE = [
    b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\nhello",
    b"HTTP/1.1 200 OK\r\nX: " + b"a" * 70_000,
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    b"HTTP/1.1 103 Early Hints\r\n\r\n" * 40,
    b"HTTP/1.1 200 OK\r\nContent-Le",
    b"",
]


@pytest.mark.parametrize("answer", GARBAGE, ids=[str(n) for n in range(len(GARBAGE))])
def test_an_answer_that_is_none_is_a_502(stage: Stage, answer: bytes) -> None:
    stage.rule(stage.backend(cut(answer)))  # type: ignore[arg-type]
    client = stage.client()
    client.say(GET)
    status, head, body = client.answer()
    while status == 103:
        status, head, body = client.answer()
    assert status == 502
    assert b"Its server is down, or gave an answer that is none" in body
    assert b"close" not in head
    assert stage.states()[0]["failures"] == 1


CUT = [
    (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello", False),
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", False),
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel", False),
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nhello\r\n", False),
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello and more\r\n", False),
    # Without any framing only a reset can tell.
    (b"HTTP/1.1 200 OK\r\n\r\nhello", True),
]


@pytest.mark.parametrize(("answer", "reset"), CUT)
@pytest.mark.parametrize("version", [b"1.1", b"1.0"])
def test_a_cut_answer_is_never_taken_for_a_whole_one(
    stage: Stage, answer: bytes, reset: bool, version: bytes
) -> None:
    stage.rule(stage.backend(cut(answer, reset=reset)))  # type: ignore[arg-type]
    client = stage.client()
    client.say(b"GET / HTTP/%b\r\nHost: a.test\r\nConnection: close\r\n\r\n" % version)
    got = client.everything()
    if b"\r\nzz\r\n" in answer or b"and more" in answer:
        # It is seen to be none before anything went out.
        assert got.startswith(b"HTTP/1.1 502")
        return
    head, _, body = got.partition(b"\r\n\r\n")
    lowered = head.lower()
    if b"content-length" in lowered:
        assert len(body) < 10
    elif b"chunked" in lowered:
        assert not body.endswith(b"0\r\n\r\n")
    else:
        assert client.stream.broken or not got
    eventually(lambda: stage.states()[0]["failures"] == 1)


def test_chunks_that_go_bad_end_an_answer_that_has_begun(stage: Stage) -> None:
    begun = Event()

    def spoil(peer: Peer) -> None:
        peer.head()
        peer.say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
        begun.wait()
        peer.say(b"zz\r\n")

    stage.rule(stage.backend(spoil))
    client = stage.client()
    client.say(GET)
    client.until(b"hello\r\n")
    begun.set()
    assert client.everything() == b""
    eventually(lambda: stage.states()[0]["failures"] == 1)


def test_a_head_does_not_wait_for_a_chunk_to_be_whole(stage: Stage) -> None:
    go = Event()

    def dawdle(peer: Peer) -> None:
        peer.head()
        peer.say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r")
        go.wait()
        peer.say(b"\nhello\r\n0\r\n\r\n")
        peer.everything()

    stage.rule(stage.backend(dawdle))
    client = stage.client()
    client.say(GET)
    head = client.head()
    go.set()
    client.rest = head + client.rest
    assert client.answer()[2] == b"hello"


def test_a_short_chunked_answer_goes_out_in_one(stage: Stage) -> None:
    def chunks(peer: Peer) -> None:
        peer.head()
        peer.say(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"1\r\na\r\n1\r\nb\r\n0\r\nX-Sum: 2\r\n\r\n"
        )
        peer.everything()

    stage.rule(stage.backend(chunks))
    client = stage.client()
    client.say(GET)
    status, head, body = client.answer()
    assert (status, body) == (200, b"ab")
    assert b"X-Sum: 2" in head


def test_what_a_backend_says_too_much_is_not_the_next_answer(stage: Stage) -> None:
    def chatter(peer: Peer) -> None:
        while peer.head():
            peer.say(OK + b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")

    backend = stage.backend(chatter)
    stage.rule(backend)
    client = stage.client()
    for _ in range(3):
        client.say(GET)
        assert client.answer()[2] == b"hello"
    assert backend.connections == 3


def test_a_bad_body_of_the_client_is_the_client_s_fault(stage: Stage) -> None:
    asked = Event()

    def read(peer: Peer) -> None:
        peer.head()
        asked.set()
        peer.everything()

    stage.rule(stage.backend(read))
    client = stage.client()
    client.say(POST + b"Transfer-Encoding: chunked\r\n\r\n")
    asked.wait()
    client.say(b"zz\r\n")
    assert client.answer()[0] == 400
    assert stage.states()[0]["failures"] == 0


def test_a_client_that_leaves_takes_its_upload_along(stage: Stage) -> None:
    asked, ended = Event(), Event()

    def read(peer: Peer) -> None:
        peer.head()
        asked.set()
        peer.everything()
        ended.set()

    stage.rule(stage.backend(read))
    client = stage.client()
    client.say(POST + b"Content-Length: 10\r\n\r\nabc")
    asked.wait()
    client.stream.close()
    ended.wait()
    eventually(lambda: stage.states()[0]["open_requests"] == 0)
    assert stage.states()[0]["failures"] == 0


def hang(peer: Peer) -> None:
    peer.head()
    peer.everything()


def test_a_backend_that_hangs_is_a_504(stage: Stage) -> None:
    stage.rule(stage.backend(hang), head_timeout_s=0.1)
    status, _, body = stage.get()
    assert status == 504
    assert b"did not answer in time" in body


def test_an_answer_that_stops_is_cut(stage: Stage) -> None:
    def stop(peer: Peer) -> None:
        peer.head()
        peer.say(b"HTTP/1.1 200 OK\r\n\r\nhello")
        peer.everything()

    stage.rule(stage.backend(stop), idle_timeout_s=0.1)
    client = stage.client()
    client.say(GET)
    got = client.everything()
    assert b"hello" in got
    assert not got.endswith(b"0\r\n\r\n")


def test_an_exchange_that_takes_too_long_in_all_is_ended(stage: Stage) -> None:
    stage.rule(stage.backend(hang), total_timeout_s=0.05)
    assert stage.get()[0] == 504

    def drip(peer: Peer) -> None:
        peer.head()
        peer.say(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello")
        peer.everything()

    stage.rule(stage.backend(drip), total_timeout_s=0.05)
    client = stage.client()
    client.say(GET)
    assert client.everything().endswith(b"hello")


def test_a_backend_that_takes_nothing_of_a_body_is_a_504(stage: Stage) -> None:
    go = Event()

    def deaf(peer: Peer) -> None:
        peer.head()
        go.wait()

    stage.rule(stage.backend(deaf), idle_timeout_s=0.1)
    client = stage.client()
    client.say(POST + b"Content-Length: 100000000\r\n\r\n")
    piece = b"x" * 65_536

    def upload() -> None:
        while True:
            client.say(piece)

    uploading = spawn(upload)
    assert client.answer()[0] == 504
    go.set()
    uploading.cancel()
    uploading.join()


def test_a_slow_upload_does_not_count_against_the_answer(stage: Stage) -> None:
    """The bound on the answer begins when the body is out."""
    backend = stage.backend()

    def late(peer: Peer) -> None:
        peer.head()
        peer.take(2)
        peer.say(OK)
        peer.everything()

    backend.script = late
    stage.rule(backend, head_timeout_s=0.1)
    client = stage.client()
    client.say(POST + b"Content-Length: 2\r\n\r\na")
    # Longer than the sweeper needs to end what is due.
    sweeps = stage.service._deadlines
    seen = sweeps.now
    eventually(lambda: sweeps.now > seen + 1.5)
    client.say(b"b")
    assert client.answer()[2] == b"hello"


def test_killed_backends_leave_no_connection_behind(stage: Stage) -> None:
    backend = stage.backend()
    stage.rule(backend)
    assert stage.get()[0] == 200
    assert stage.states()[0]["idle_connections"] == 1
    backend.kill()
    assert stage.get()[0] == 502
    assert stage.states()[0]["idle_connections"] == 0


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
