"""Backends that fail half way, on real sockets: each has its answer, and none looks whole."""

from __future__ import annotations

import pytest
from balancer.stage import OK, Peer, Stage, eventually, hang

from verdant import Event, spawn

POST = b"POST / HTTP/1.1\r\nHost: a.test\r\n"
GET = b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"


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
    sweeps = stage.service._front.deadlines
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
