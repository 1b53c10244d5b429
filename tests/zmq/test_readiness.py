"""The rule of the edge: whatever is called in between, who waits is woken."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from verdant import Timeout, sleep, spawn
from verdant.core import current_hub
from verdant.zmq import (
    DEALER,
    EVENTS,
    NOBLOCK,
    PAIR,
    POLLIN,
    POLLOUT,
    RCVHWM,
    SNDHWM,
    Again,
    Context,
    Readiness,
)
from verdant.zmq.options import _by_pyzmq, int_option

if TYPE_CHECKING:
    from collections.abc import Callable

    from verdant.zmq import Socket

    Join = Callable[[int, int], tuple[Socket, Socket]]

# What one green thread does while others wait on the same socket: each of these may take the
# descriptor's edge away.
STEPS: dict[str, Callable[[Socket, Socket], Any]] = {
    "receive": lambda here, there: spawn(here.recv),
    "receive parts": lambda here, there: spawn(here.recv_multipart),
    "send": lambda here, there: spawn(here.send, b"from here"),
    "answer": lambda here, there: spawn(there.send, b"from there"),
    "try": lambda here, there: _try(here),
    "look": lambda here, there: here.get(EVENTS),
    "poll": lambda here, there: here.poll(0, POLLIN | POLLOUT),
    "bind": lambda here, there: here.unbind(here.bind("inproc://another").addr),
    "yield": lambda here, there: sleep(0),
    "take": lambda here, there: _try(there),
}


def _try(socket: Socket) -> int:
    try:
        return len(socket.recv(NOBLOCK))
    except Again:
        return 0


@settings(max_examples=60, deadline=None)
@given(steps=st.lists(st.sampled_from(sorted(STEPS)), max_size=40))
def test_whoever_waits_gets_what_comes_whatever_others_call(steps: list[str]) -> None:
    with Context() as context:
        here, there = context.socket(PAIR), context.socket(PAIR)
        for socket in (here, there):
            # Small, so that senders wait too.
            socket.set(SNDHWM, 2)
            socket.set(RCVHWM, 2)
        there.bind("inproc://pair")
        here.connect("inproc://pair")
        receivers, senders, answers = [], [], []
        for step in steps:
            made = STEPS[step](here, there)
            if step.startswith("receive"):
                receivers.append(made)
            elif step == "send":
                senders.append(made)
            elif step == "answer":
                answers.append(made)
        with Timeout(20):
            # Room for every sender, a message for every receiver.
            drain = spawn(_drain, there)
            for thread in senders:
                thread.join()
            feed = spawn(_feed, there)
            for thread in receivers:
                thread.join()
            rest = spawn(_drain, here)
            for thread in answers:
                thread.join()
        assert all(thread.exception is None for thread in [*receivers, *senders, *answers])
        for thread in (drain, feed, rest):
            thread.cancel()
            thread.join()
        here.close(0)
        there.close(0)


def _drain(socket: Socket) -> None:
    while True:
        socket.recv()


def _feed(socket: Socket) -> None:
    while True:
        socket.send(b"more")


def test_nobody_overtakes_the_line(joined: Join) -> None:
    here, there = joined(DEALER, DEALER)
    order: list[int] = []

    def receive(number: int) -> None:
        here.recv()
        order.append(number)

    threads = [spawn(receive, number) for number in range(20)]
    sleep(0)
    with Timeout(30):
        for _ in threads:
            there.send(b"x")
        for thread in threads:
            thread.wait()
    assert order == list(range(20))


def test_who_leaves_the_head_of_the_line_lets_the_next_one_in(joined: Join) -> None:
    here, there = joined(DEALER, DEALER)
    threads = [spawn(here.recv) for _ in range(5)]
    sleep(0)
    for thread in (threads[0], threads[2]):
        thread.cancel()
    there.send(b"first")
    there.send(b"second")
    with Timeout(30):
        assert threads[1].wait() == b"first"
        assert threads[3].wait() == b"second"
    threads[4].cancel()
    threads[4].join()


def test_a_socket_that_nobody_waits_for_costs_the_hub_nothing(joined: Join) -> None:
    here, there = joined(DEALER, DEALER)
    waiting = spawn(here.recv)
    there.send(b"x")
    with Timeout(30):
        waiting.wait()
    there.close(0)
    for _ in range(3):
        there.closed  # noqa: B018 - what a program may do with it
    before = current_hub().turns
    sleep(0.2)
    # Its peer has gone: level-triggered, that would be a turn of the hub per microsecond.
    assert current_hub().turns - before < 20


def test_both_ways_to_read_an_option_agree(joined: Join) -> None:
    here, there = joined(DEALER, DEALER)
    there.send(b"x")
    with Timeout(30):
        here.poll()
    address = here.underlying
    assert int_option(address, int(EVENTS))() == _by_pyzmq(address, int(EVENTS))()
    assert int_option(address, -5)() == _by_pyzmq(address, -5)() == -1


def test_readiness_does_not_keep_its_socket(context: Context) -> None:
    plain = Context.shadow(context.underlying)
    socket = plain.socket(DEALER)
    readiness = socket._readiness
    assert isinstance(readiness, Readiness)
    with pytest.raises(Again):
        socket.recv(NOBLOCK)
    with pytest.warns(ResourceWarning):
        del socket
    assert readiness.closed
