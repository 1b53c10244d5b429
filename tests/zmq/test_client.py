"""Clients: right answers or none, many at once, and what becomes of a call when its server goes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

import pytest

from verdant import Event, Timeout, run_in_worker, sleep, spawn
from verdant.errors import Closed
from verdant.zmq import (
    LAST_ENDPOINT,
    REP,
    Client,
    Context,
    NoAnswer,
    Service,
    WrongThread,
    ZMQError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# The longest that anything here may take.
PATIENCE_S = 60


def until_all_are_up(client: Client) -> None:
    while not all(connection.up for connection in client._connections):
        sleep(0.001)


PLAIN = """
import sys, zmq
socket = zmq.Context().socket(zmq.REP)
port = socket.bind_to_random_port("tcp://127.0.0.1")
print(f"tcp://127.0.0.1:{port}", flush=True)
while True:
    socket.send_multipart([b"you said: " + part for part in socket.recv_multipart()])
"""

# A service whose process says what it does, so that a test knows when to end it.
OURS = """
import sys
from verdant import sleep
from verdant.zmq import ROUTER, zmq_loop

@zmq_loop(ROUTER, sys.argv[1])
def handle(request):
    print("got", request.decode(), flush=True)
    if request == b"for ever":
        sleep(3600)
    if request == b"hog":
        while True:
            pass
    return b"you said: " + request

handle.start()
print(handle.endpoint, flush=True)
handle.run()
"""


@contextmanager
def process(program: str, *arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    with subprocess.Popen(
        [sys.executable, "-W", "error", "-c", program, *arguments],
        stdout=subprocess.PIPE,
        text=True,
    ) as running:
        try:
            assert running.stdout is not None
            yield running, running.stdout.readline().strip()
        finally:
            running.kill()


def heard(running: subprocess.Popen[str]) -> str:
    assert running.stdout is not None
    # A pipe that blocks: not for the hub.
    return run_in_worker(running.stdout.readline).strip()


def test_a_plain_rep_in_another_process(context: Context) -> None:
    with process(PLAIN) as (_, endpoint), Client(endpoint, context=context) as client:
        asking = [spawn(client.call, b"%d" % n) for n in range(200)]
        assert [thread.wait() for thread in asking] == [b"you said: %d" % n for n in range(200)]
        assert client.call_multipart([b"a", b""]) == [b"you said: a", b"you said: "]


def test_answers_find_their_questions_in_any_order(
    context: Context, serve: Callable[..., Service]
) -> None:
    waiting: list[tuple[int, Event]] = []

    def handle(request: bytes) -> bytes:
        mine = Event()
        waiting.append((int(request), mine))
        if len(waiting) == 100:
            # The last one first.
            for _, event in sorted(waiting, reverse=True):
                event.set()
        mine.wait()
        return request

    service = serve(handle)
    with Client(service.endpoint, context=context) as client:
        asking = [spawn(client.call, b"%d" % n) for n in range(100)]
        assert [int(thread.wait()) for thread in asking] == list(range(100))


def test_a_late_answer_is_dropped_and_the_client_goes_on(
    context: Context, serve: Callable[..., Service]
) -> None:
    go = Event()

    def handle(request: bytes) -> bytes:
        if request == b"slow":
            go.wait()
        return request

    service = serve(handle)
    with Client(service.endpoint, context=context) as client:
        with pytest.raises(Timeout), Timeout(0.05):
            client.call(b"slow")
        cancelled = spawn(client.call, b"slow")
        while service.calls < 2:
            sleep(0)
        cancelled.cancel()
        cancelled.join()
        with pytest.raises(NoAnswer, match=r"deadline of 0.05 s is over; the call may have been"):
            client.call(b"slow", deadline_s=0.05)
        assert client.call(b"next") == b"next"
        assert client.late_answers == 0
        go.set()
        while client.late_answers < 3:
            assert client.call(b"other") == b"other"
        assert client.late_answers == 3


def test_a_plain_rep_that_answers_late(context: Context) -> None:
    replying = context.socket(REP)
    replying.bind("tcp://127.0.0.1:*")
    endpoint = replying.getsockopt(LAST_ENDPOINT).rstrip(b"\0").decode()
    with Client(endpoint, context=context) as client:
        with pytest.raises(NoAnswer):
            client.call(b"first", deadline_s=0.05)
        second = spawn(client.call, b"second")
        for _ in range(2):
            replying.send(b"you said: " + replying.recv())
        assert second.wait() == b"you said: second"
        assert client.late_answers == 1
    replying.close(0)


def test_nobody_there_is_an_error_in_time_that_says_so(context: Context) -> None:
    with Client(["tcp://127.0.0.1:1", "ipc:///nowhere/at/all"], context=context) as client:
        while not all(connection.trouble for connection in client._connections):
            sleep(0.001)
        with pytest.raises(NoAnswer) as failure:
            client.call(b"a", deadline_s=0.05)
    text = str(failure.value)
    assert text.startswith("no answer: the deadline of 0.05 s is over; the call was not run; ")
    assert "tcp://127.0.0.1:1 cannot be connected to" in text
    assert "ipc:///nowhere/at/all cannot be connected to" in text
    assert not failure.value.maybe_run
    assert isinstance(failure.value, TimeoutError)


def test_a_server_that_starts_later_is_found(
    context: Context, serve: Callable[..., Service]
) -> None:
    with process(PLAIN) as (running, endpoint):
        running.kill()
        running.wait()
        with Client(endpoint, context=context) as client:
            asking = spawn(client.call, b"a")
            sleep(0)
            serve(bytes.upper, endpoint)
            assert asking.wait() == b"A"


def test_a_killed_server_is_noticed_and_another_asked_if_that_is_safe(
    context: Context, serve: Callable[..., Service]
) -> None:
    with process(PLAIN) as (gone, other_endpoint):
        gone.kill()
        gone.wait()
    with (
        process(OURS, "tcp://127.0.0.1:*") as (one, endpoint),
        Client([endpoint, other_endpoint], context=context) as client,
    ):
        asking = {
            safe: [spawn(partial(client.call, b"for ever", idempotent=safe)) for _ in range(10)]
            for safe in (True, False)
        }
        for _ in range(20):
            assert heard(one) == "got for ever"
        serve(bytes.upper, other_endpoint)
        until_all_are_up(client)
        one.kill()
        for thread in asking[True]:
            assert thread.wait() == b"FOR EVER"
        for thread in asking[False]:
            with pytest.raises(NoAnswer) as failed:
                thread.wait()
            assert failed.value.maybe_run
            assert f"{endpoint} was lost, and a call that is not idempotent" in str(failed.value)
            assert f"{other_endpoint} is connected and was not asked" in str(failed.value)
        # What comes after goes to the one that is left.
        assert client.call(b"a") == b"A"


def test_a_stopped_process_is_noticed_by_heartbeats(context: Context) -> None:
    with (
        process(PLAIN) as (one, endpoint),
        Client(endpoint, server_lost_s=1, context=context) as client,
    ):
        assert client.call(b"a") == b"you said: a"
        os.kill(one.pid, signal.SIGSTOP)
        with pytest.raises(NoAnswer, match="was lost"):
            client.call(b"b")
        os.kill(one.pid, signal.SIGCONT)
        assert client.call(b"c") == b"you said: c"


def test_a_process_that_hogs_itself_is_noticed_by_our_ping(context: Context) -> None:
    with (
        process(OURS, "tcp://127.0.0.1:*") as (one, endpoint),
        Client(endpoint, ping_s=0.5, context=context) as client,
    ):
        assert client.call(b"a") == b"you said: a"
        waiting = spawn(client.call, b"for ever")
        # It answers pings, and so is waited for.
        assert (heard(one), heard(one)) == ("got a", "got for ever")
        connection = client._connections[0]
        for _ in range(2):
            before = connection.heard_at
            while connection.heard_at == before:
                sleep(0.001)
        assert not waiting.done
        with pytest.raises(NoAnswer, match=r"has not answered a ping for 0.5 s"):
            client.call(b"hog")
        with pytest.raises(NoAnswer, match=r"has not answered a ping for 0.5 s"):
            waiting.wait()


def test_a_slow_server_is_overtaken_when_asked_to(
    context: Context, serve: Callable[..., Service]
) -> None:
    go = Event()

    def slow(request: bytes) -> bytes:
        go.wait()
        return b"slow " + request

    one, two = serve(slow), serve(lambda request: b"fast " + request, takes=bytes)
    with Client(
        [one.endpoint, two.endpoint], attempt_s=0.05, idempotent=True, context=context
    ) as client:
        until_all_are_up(client)
        for number in range(4):
            assert client.call(b"%d" % number) == b"fast %d" % number
        two.stop()
        late = spawn(client.call, b"x")
        while not one.calls:
            sleep(0)
        go.set()
        assert late.wait() == b"slow x"


def test_attempts_are_bounded(context: Context) -> None:
    with (
        process(OURS, "tcp://127.0.0.1:*") as (one, first),
        process(OURS, "tcp://127.0.0.1:*") as (two, second),
        process(OURS, "tcp://127.0.0.1:*") as (three, third),
        Client([first, second, third], attempts_max=2, idempotent=True, context=context) as client,
    ):
        until_all_are_up(client)
        asking = spawn(client.call, b"for ever")
        sleep(0)
        by_endpoint = {first: one, second: two, third: three}
        for _ in range(2):
            while not (busy := [c for c in client._connections if c.under_way]):
                sleep(0.001)
            victim = by_endpoint[busy[0].endpoint]
            assert heard(victim) == "got for ever"
            victim.kill()
            while busy[0].under_way:
                sleep(0.001)
        with pytest.raises(NoAnswer, match="2 servers were asked, which is attempts_max") as failed:
            asking.wait()
        assert str(failed.value).count("was lost") == 2
        assert str(failed.value).count("is connected and was not asked") == 1


def test_a_restarted_server_gets_the_question_again(context: Context) -> None:
    with (
        process(OURS, "tcp://127.0.0.1:*") as (one, endpoint),
        Client(endpoint, idempotent=True, context=context) as client,
    ):
        asking = spawn(client.call, b"for ever")
        assert heard(one) == "got for ever"
        one.kill()
        one.wait()
        with process(OURS, endpoint) as (again, _):
            assert heard(again) == "got for ever"
        # Now without anybody: the call waits, and ends with its client.
        client.close()
        with pytest.raises(Closed):
            asking.wait()


def test_calls_at_once_are_bounded(context: Context, serve: Callable[..., Service]) -> None:
    go = Event()
    most = 0

    def handle(request: bytes) -> bytes:
        nonlocal most
        most = max(most, service.calls)
        go.wait()
        return request

    service = serve(handle)
    with Client(service.endpoint, calls_max=2, context=context) as client:
        asking = [spawn(client.call, b"%d" % n) for n in range(10)]
        while service.calls < 2:
            sleep(0)
        with pytest.raises(NoAnswer, match="calls_max"):
            client.call(b"x", deadline_s=0.01)
        go.set()
        assert [thread.wait() for thread in asking] == [b"%d" % n for n in range(10)]
    assert most == 2


def test_a_client_of_another_native_thread_says_so(
    context: Context, serve: Callable[..., Service]
) -> None:
    service = serve(bytes.upper)
    with Client(service.endpoint, context=context) as client:
        with pytest.raises(WrongThread):
            run_in_worker(client.call, b"a")
        assert client.call(b"a") == b"A"


def test_a_closed_client_says_so(context: Context, serve: Callable[..., Service]) -> None:
    service = serve(lambda request: Event().wait() and request, takes=bytes)
    client = Client(service.endpoint, context=context)
    under_way = spawn(client.call, b"a")
    while not service.calls:
        sleep(0)
    client.close()
    with pytest.raises(Closed):
        under_way.wait()
    with pytest.raises(Closed):
        client.call(b"a")
    client.close()


def test_arguments_that_cannot_be(context: Context) -> None:
    for servers in ([], ["nowhere"], [70_000]):
        with pytest.raises(ValueError, match=r"server|endpoint|port"):
            Client(servers, context=context)
    with Client(1, context=context) as client, pytest.raises(ValueError, match="one frame"):
        client.call_multipart([])
    with pytest.raises(ZMQError):
        Client("wrong://x", context=context)
