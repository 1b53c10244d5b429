"""The traps of ZeroMQ in green threads, one by one (docs/explanation/zmq-restrictions.md)."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
import zmq as pyzmq
from zmq.utils.monitor import recv_monitor_message

from verdant import Timeout, run_in_worker, sleep, spawn, zmq
from verdant.zmq import (
    EVENT_CONNECTED,
    EVENTS,
    LINGER,
    NOBLOCK,
    PAIR,
    POLLIN,
    PULL,
    PUSH,
    RCVTIMEO,
    REP,
    REQ,
    SNDMORE,
    SNDTIMEO,
    Again,
    Context,
    ContextTerminated,
    Poller,
    Socket,
    WrongProcess,
    WrongThread,
    ZMQError,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    Join = Callable[[int, int], tuple[Socket, Socket]]


def in_another_thread(fn: Callable[[], object]) -> list[object]:
    """What `fn()` returned or raised in a native thread of its own."""
    found: list[object] = []

    def run() -> None:
        try:
            found.append(fn())
        except (ZMQError, WrongThread) as exc:
            found.append(exc)

    thread = threading.Thread(target=run)
    thread.start()
    run_in_worker(thread.join)
    return found


def run(program: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


# Waits.


@pytest.mark.parametrize(
    "wait",
    [
        lambda socket: socket.poll(300),
        lambda socket: Poller().poll(300),
        lambda socket: zmq.zmq_poll([(socket, POLLIN)], 300),
        lambda socket: zmq.select([socket], [], [], 0.3),
        lambda socket: socket.recv_into(bytearray(9)),
        lambda socket: socket.recv_json(),
        lambda socket: socket.recv_serialized(list),
    ],
)
def test_the_hub_goes_on_in_every_wait(wait: Callable[[Any], object], joined: Join) -> None:
    pull, _ = joined(PULL, PUSH)
    pull.set(RCVTIMEO, 300)

    def waits() -> None:
        try:
            wait(pull)
        except Again:
            return

    waiting = spawn(waits)
    turns = 0
    while not waiting.done:
        turns += 1
        sleep(0.001)
    waiting.wait()
    assert turns > 0


def test_a_poller_takes_sockets_of_every_kind_and_descriptors(joined: Join) -> None:
    pull, push = joined(PULL, PUSH)
    plain_context: pyzmq.Context[pyzmq.Socket[bytes]] = pyzmq.Context()
    plain = plain_context.socket(pyzmq.PULL)
    port = int(plain.bind_to_random_port("tcp://127.0.0.1"))
    pusher = plain_context.socket(pyzmq.PUSH)
    pusher.connect(f"tcp://127.0.0.1:{port}")
    reading, writing = os.pipe()
    try:
        poller = Poller()
        for item in (pull, plain, reading):
            poller.register(item, POLLIN)
        cases: list[tuple[Callable[[], object], Any, Callable[[], object]]] = [
            (lambda: push.send(b"x"), pull, pull.recv),
            (lambda: pusher.send(b"x"), plain, plain.recv),
            (lambda: os.write(writing, b"x"), reading, lambda: os.read(reading, 1)),
        ]
        for send, item, take in cases:
            waiting = spawn(poller.poll, 30_000)
            sleep(0)
            send()
            assert dict(waiting.wait()) == {item: POLLIN}
            take()
        assert poller.poll(1) == []
    finally:
        os.close(reading)
        os.close(writing)
        plain_context.destroy(0)


def test_timeouts_as_attributes_are_kept_in_both_directions(context: Context) -> None:
    lonely = context.socket(PAIR)
    for timeout_ms in (0, 1):
        lonely.rcvtimeo = lonely.sndtimeo = timeout_ms
        assert (lonely.get(RCVTIMEO), lonely.get(SNDTIMEO)) == (timeout_ms, timeout_ms)
        for call in (lonely.recv, lonely.recv_multipart, lambda: lonely.send(b"x")):
            with pytest.raises(Again):
                call()
        with pytest.raises(Again):
            lonely.send_multipart([b"x", b"y"])


def test_a_timeout_around_a_wait_is_raised_and_not_taken_for_the_sockets(context: Context) -> None:
    lonely = context.socket(PAIR)
    lonely.rcvtimeo = 60_000
    with pytest.raises(Timeout), Timeout(0.01):
        lonely.recv()


def test_events_read_by_any_name_wake_the_other_direction(joined: Join) -> None:
    pull, push = joined(PULL, PUSH)
    for look in (
        lambda: pull.EVENTS,
        lambda: pull.events,
        lambda: pull.get(EVENTS),
        lambda: pull.getsockopt(EVENTS),
    ):
        waiting = spawn(pull.recv)
        sleep(0)
        push.send(b"x")
        with Timeout(30):
            while not int(look()) & POLLIN and not waiting.done:
                # Without a turn for the hub: only the look can have woken it.
                time.sleep(0.001)
            assert waiting.wait() == b"x"


# Parts.


def test_the_rest_of_a_message_whose_peer_has_gone_is_no_message(context: Context) -> None:
    push, first = context.socket(PUSH), context.socket(PULL)
    push.bind("inproc://parts")
    first.connect("inproc://parts")
    push.send(b"head", SNDMORE)
    first.close(0)
    with Timeout(30):
        push.send(b"tail")
        second = context.socket(PULL)
        second.connect("inproc://parts")
        while not second.poll(10):
            # The first ones may go after the head, to the peer that is on its way out.
            push.send_multipart([b"whole", b"message"])
        assert second.recv_multipart() == [b"whole", b"message"]


def test_parts_sent_one_by_one_stay_together_over_any_number(joined: Join) -> None:
    pull, push = joined(PULL, PUSH)
    got: list[list[bytes]] = []

    def send(number: int) -> None:
        for _ in range(300):
            push.send(b"%d" % number, SNDMORE)
            push.send(b"%d" % number)

    def receive() -> None:
        while len(got) < 900:
            got.append([pull.recv(), pull.recv()])

    with Timeout(30):
        threads = [spawn(send, number) for number in range(3)] + [spawn(receive)]
        for thread in threads:
            thread.wait()
    assert all(head == tail for head, tail in got)


def test_what_is_no_buffer_is_found_before_the_first_part_goes(joined: Join) -> None:
    _, push = joined(PULL, PUSH)
    with pytest.raises(TypeError, match="Frame 1"):
        push.send_multipart([b"fine", 5])


# Ends.


def test_a_close_wakes_senders_receivers_and_pollers(context: Context) -> None:
    lonely = context.socket(PAIR)
    threads = [
        spawn(lonely.recv), spawn(lonely.recv), spawn(lonely.send, b"x"), spawn(lonely.send, b"x")
    ]  # fmt: skip
    polling = spawn(lonely.poll)
    sleep(0)
    lonely.close()
    with Timeout(30):
        for thread in [*threads, polling]:
            with pytest.raises(ZMQError) as caught:
                thread.wait()
            assert caught.value.errno == zmq.ENOTSOCK


def test_the_end_of_a_context_wakes_whoever_waits() -> None:
    context = Context()
    lonely = context.socket(PAIR)
    threads = [spawn(lonely.recv), spawn(lonely.recv), spawn(lonely.send, b"x"), spawn(lonely.poll)]
    sleep(0)
    ending = spawn(context.term)
    with Timeout(30):
        for thread in threads:
            with pytest.raises(ContextTerminated):
                thread.wait()
        lonely.close()
        ending.wait()
    assert context.closed


def test_an_end_that_takes_for_ever_can_be_left_and_waited_for_again() -> None:
    context = Context()
    push = context.socket(PUSH)
    push.connect("tcp://127.0.0.1:9")
    push.send(b"for nobody")
    with Timeout(0.05, False):
        context.term()
    assert not context.closed
    push.close(linger=0)
    with Timeout(30):
        context.term()
    assert context.closed


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_a_context_that_is_forgotten_makes_nobody_wait() -> None:
    context = Context()
    push = context.socket(PUSH)
    push.connect("tcp://127.0.0.1:9")
    push.send(b"for nobody")
    began = time.monotonic()
    del push, context
    assert time.monotonic() - began < zmq.LINGER_MS_DEFAULT / 1000


def test_what_a_program_sent_last_is_delivered(context: Context) -> None:
    pull = context.socket(PULL)
    port = pull.bind_to_random_port("tcp://127.0.0.1")
    child = subprocess.Popen(
        [
            *(sys.executable, "-c"),
            "from verdant import zmq\n"
            "context = zmq.Context()\n"
            "push = context.socket(zmq.PUSH)\n"
            f"push.connect('tcp://127.0.0.1:{port}')\n"
            "push.send(b'goodbye')\n",
        ]
    )
    try:
        with Timeout(30):
            assert pull.recv() == b"goodbye"
        assert run_in_worker(child.wait, 30) == 0
    finally:
        child.kill()
        child.wait()


def test_lingering_for_ever_does_not_keep_a_program_from_ending() -> None:
    run(
        "from verdant import zmq\n"
        "context = zmq.Context()\n"
        "push = context.socket(zmq.PUSH)\n"
        "push.linger = -1\n"
        "push.connect('tcp://127.0.0.1:9')\n"
        "push.send(b'for nobody')\n"
    )


def test_the_default_linger_is_bounded_and_can_be_lifted(context: Context) -> None:
    assert context.socket(PUSH).get(LINGER) == zmq.LINGER_MS_DEFAULT
    context.setsockopt(LINGER, -1)
    assert context.socket(PUSH).get(LINGER) == -1


# Native threads and processes.


def test_another_native_thread_is_told(joined: Join) -> None:
    pull, push = joined(PULL, PUSH)
    push.send(b"x")
    with Timeout(30):
        pull.recv()
    for call in (
        pull.recv,
        lambda: pull.recv(NOBLOCK),
        lambda: push.send(b"x"),
        lambda: push.send_multipart([b"x"]),
        lambda: pull.poll(1),
        lambda: pull.connect("inproc://x"),
    ):
        (outcome,) = in_another_thread(call)
        assert isinstance(outcome, WrongThread)


def test_a_socket_that_was_not_used_yet_may_be_handed_over(context: Context) -> None:
    pull, push = context.socket(PULL), context.socket(PUSH)
    pull.bind("inproc://handed-over")
    push.connect("inproc://handed-over")

    def use() -> bytes:
        push.send(b"x")
        return bytes(pull.recv())

    assert in_another_thread(use) == [b"x"]


def test_a_close_elsewhere_is_done_by_the_sockets_own_hub(joined: Join) -> None:
    pull, _ = joined(PULL, PUSH)
    waiting = spawn(pull.recv)
    sleep(0)
    in_another_thread(pull.close)
    with Timeout(30), pytest.raises(ZMQError):
        waiting.wait()
    assert pull.closed


def test_sockets_of_several_threads_talk() -> None:
    context = Context()
    server = context.socket(REP)
    server.bind("inproc://threads")

    def ask() -> object:
        with context.socket(REQ) as asking:
            asking.connect("inproc://threads")
            asking.send(b"hello")
            return asking.recv()

    answers: list[object] = []
    asking = spawn(lambda: answers.extend(in_another_thread(ask)))
    with Timeout(30):
        server.send(server.recv().upper())
        asking.wait()
    assert answers == [b"HELLO"]
    server.close()
    context.term()


def test_a_forked_child_is_told_and_can_begin_anew(joined: Join) -> None:
    pull, push = joined(PULL, PUSH)
    waiting = spawn(pull.recv)
    sleep(0)
    child = os.fork()
    if not child:
        code = 1
        try:
            for call in (push.recv, lambda: push.send(b"x"), lambda: push.context.socket(PUSH)):
                with pytest.raises(WrongProcess):
                    call()
            push.close()
            anew = Context.instance()
            assert anew is not push.context
            here, there = anew.socket(PAIR), anew.socket(PAIR)
            here.bind("inproc://anew")
            there.connect("inproc://anew")
            with Timeout(20):
                here.send(b"x")
                assert there.recv() == b"x"
            anew.destroy(0)
            code = 0
        finally:
            os._exit(code)
    with Timeout(30):
        assert os.waitstatus_to_exitcode(run_in_worker(os.waitpid, child, 0)[1]) == 0
        push.send(b"still here")
        assert waiting.wait() == b"still here"


# pyzmq's own parts.


LARGE = """
from verdant.patcher import monkey_patch
monkey_patch()
from verdant import zmq, spawn, Timeout
context = zmq.Context()
pull, push = context.socket(zmq.PULL), context.socket(zmq.PUSH)
pull.bind("inproc://large")
push.connect("inproc://large")
with Timeout(20):
    for _ in range(3):
        sending = spawn(push.send, b"x" * 200_000, 0, False, True)
        frame = pull.recv(copy=False)
        assert len(frame) == 200_000
        tracker = sending.wait()
        del frame
        tracker.wait(10)
        assert tracker.done
context.destroy(0)
print("done")
"""


@pytest.mark.parametrize("first", ["", "import zmq\n", "import verdant.zmq\n"])
def test_large_frames_go_without_a_copy_under_the_patch(first: str) -> None:
    # Imported too early is a warning, and here it is the point.
    assert "done" in run("import warnings\nwarnings.simplefilter('ignore')\n" + first + LARGE)


def test_every_public_name_of_pyzmq_is_here() -> None:
    missing = [name for name in (*pyzmq.__all__, "__version__") if not hasattr(zmq, name)]
    assert missing == []
    assert zmq.Context is not pyzmq.Context
    assert zmq.PUSH is pyzmq.PUSH


def test_instances_of_both_kinds_are_two() -> None:
    green = Context.instance()
    plain: pyzmq.Context[Any] = pyzmq.Context.instance()
    try:
        with green.socket(PUSH) as socket:
            assert isinstance(socket, Socket)
        assert green is not plain
        assert green is Context.instance()
    finally:
        green.destroy(0)
        plain.destroy(0)


def test_a_shadow_waits_in_the_same_line(joined: Join) -> None:
    pull, push = joined(PULL, PUSH)
    shadow = Socket.shadow(pull.underlying)
    waiting = [spawn(pull.recv), spawn(shadow.recv)]
    sleep(0)
    with Timeout(30):
        for number in (b"0", b"1"):
            push.send(number)
        assert [thread.wait() for thread in waiting] == [b"0", b"1"]


def test_monitors_are_green_sockets(context: Context) -> None:
    push, pull = context.socket(PUSH), context.socket(PULL)
    monitor = push.get_monitor_socket()
    assert isinstance(monitor, Socket)
    events: list[int] = []

    def watch() -> None:
        while EVENT_CONNECTED not in events:
            events.append(recv_monitor_message(monitor)["event"])

    watching = spawn(watch)
    push.connect(f"tcp://127.0.0.1:{pull.bind_to_random_port('tcp://127.0.0.1')}")
    with Timeout(30):
        watching.wait()
    push.disable_monitor()
    monitor.close()


def test_a_proxy_passes_both_ways_and_can_be_cancelled(context: Context) -> None:
    front, back = context.socket(zmq.ROUTER), context.socket(zmq.DEALER)
    seen_out, seen = context.socket(PUSH), context.socket(PULL)
    seen.bind("inproc://seen")
    seen_out.connect("inproc://seen")
    ports = [socket.bind_to_random_port("tcp://127.0.0.1") for socket in (front, back)]
    asking, answering = context.socket(REQ), context.socket(REP)
    asking.connect(f"tcp://127.0.0.1:{ports[0]}")
    answering.connect(f"tcp://127.0.0.1:{ports[1]}")
    passing = spawn(zmq.proxy, front, back, seen_out)
    with Timeout(30):
        for _ in range(3):
            asking.send(b"question")
            assert answering.recv() == b"question"
            answering.send(b"answer")
            assert asking.recv() == b"answer"
        assert seen.recv_multipart()[-1] == b"question"
        assert seen.recv_multipart()[-1] == b"answer"
    passing.cancel()
    passing.join()
    # Its sockets are still good.
    asking.send(b"again")
    with Timeout(30):
        assert front.recv_multipart()[-1] == b"again"


def test_a_proxy_obeys_its_control_socket(context: Context) -> None:
    front, back = context.socket(PULL), context.socket(PUSH)
    ports = [socket.bind_to_random_port("tcp://127.0.0.1") for socket in (front, back)]
    push, pull = context.socket(PUSH), context.socket(PULL)
    push.connect(f"tcp://127.0.0.1:{ports[0]}")
    pull.connect(f"tcp://127.0.0.1:{ports[1]}")
    control, steering = context.socket(PAIR), context.socket(PAIR)
    control.bind("inproc://control")
    steering.connect("inproc://control")
    passing = spawn(zmq.proxy_steerable, front, back, None, control)
    with Timeout(30):
        push.send(b"1")
        assert pull.recv() == b"1"
        steering.send(b"PAUSE")
        while control.get(EVENTS) & POLLIN:
            sleep(0)
        push.send(b"2")
        assert pull.poll(100) == 0
        steering.send(b"RESUME")
        assert pull.recv() == b"2"
        steering.send(b"TERMINATE")
        passing.wait()
