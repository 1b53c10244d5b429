"""Eventlet's zmq: the talk's own lines run, and what Eventlet lacks is there."""

from __future__ import annotations

import pytest
import zmq as plain

from verdant import eventlet
from verdant.eventlet.green import zmq
from verdant.eventlet.timeout import Timeout


@pytest.mark.differs("names are missing, and Poller, select and proxy block")
def test_every_public_name_is_found_and_what_waits_is_green() -> None:
    for name in (*plain.__all__, "__version__", "error", "utils"):
        assert hasattr(zmq, name), name
    for name in ("Context", "Socket", "Poller", "select", "proxy", "zmq_poll"):
        assert getattr(zmq, name) is not getattr(plain, name)


def test_request_and_reply_as_on_the_slides() -> None:
    ctx = zmq.Context()
    server = ctx.socket(zmq.REP)
    port = server.bind_to_random_port("tcp://127.0.0.1")

    def serve() -> None:
        while True:
            message = server.recv()
            server.send(b"you said: %s" % message)

    serving = eventlet.spawn(serve)
    sock = ctx.socket(zmq.REQ)
    sock.connect(f"tcp://127.0.0.1:{port}")
    sock.send(b"hi there")
    with Timeout(30):
        assert sock.recv() == b"you said: hi there"
    serving.kill()
    sock.close()
    server.close()
    ctx.term()


@pytest.mark.differs("poll blocks the hub, so the bound never comes", hangs=True)
def test_a_request_that_nobody_answers_is_given_up() -> None:
    ctx = zmq.Context()
    sock = ctx.socket(zmq.REQ)
    sock.bind("inproc://nobody")
    cleaned_up = False
    try:
        with Timeout(0.01):
            sock.recv() if sock.poll() else None
    except Timeout:
        cleaned_up = True
    assert cleaned_up
    sock.close()
    ctx.term()
