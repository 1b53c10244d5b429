"""Services: the talk's decorator, concurrency and its bound, errors, drain, records, brokers."""

from __future__ import annotations

import logging
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from verdant import Event, Semaphore, sleep, spawn
from verdant import zmq as zmq_names
from verdant.errors import Busy
from verdant.zmq import (
    DEALER,
    LAST_ENDPOINT,
    RCVHWM,
    REQ,
    ROUTER,
    SNDHWM,
    XREP,
    XREQ,
    BadHandler,
    CallFailed,
    CallRefused,
    Client,
    Context,
    Methods,
    Service,
    zmq_loop,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

# The longest that anything here may take.
PATIENCE_S = 30


def ask_plainly(context: Context, endpoint: str, *request: bytes) -> list[bytes]:
    """As a client that knows nothing of us: a REQ."""
    socket = context.socket(REQ)
    try:
        socket.connect(endpoint)
        socket.send_multipart(request)
        return list(socket.recv_multipart())
    finally:
        socket.close(0)


class Numbers(msgspec.Struct):
    numbers: list[int]


class Sum(msgspec.Struct):
    total: int


def add(question: Numbers) -> Sum:
    return Sum(sum(question.numbers))


@zmq_loop(XREP, 0)
def handle_request(string):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN201 - the slide
    """Twice."""
    return string * 2


def test_the_slide(context: Context) -> None:
    assert (handle_request.__name__, handle_request.__doc__) == ("handle_request", "Twice.")
    assert handle_request(b"ab") == b"abab"
    running = spawn(handle_request.run)
    while not handle_request.endpoint.removeprefix("tcp://127.0.0.1:").isdigit():
        sleep(0)
    assert ask_plainly(context, handle_request.endpoint, b"ab") == [b"abab"]
    with pytest.raises(Busy):
        handle_request.start()
    handle_request.stop()
    running.wait()
    # And once more.
    handle_request.start()
    assert ask_plainly(context, handle_request.endpoint, b"cd") == [b"cdcd"]
    handle_request.stop()


def test_others_are_served_while_one_waits(context: Context, serve: Callable[..., Service]) -> None:
    everybody = Semaphore(0)
    arrived = 0

    def handle(name: bytes) -> bytes:
        nonlocal arrived
        arrived += 1
        if arrived == 100:
            for _ in range(100):
                everybody.release()
        # Nobody is answered before all are there.
        everybody.acquire()
        return name

    service = serve(handle)
    asking = [spawn(ask_plainly, context, service.endpoint, b"%d" % n) for n in range(100)]
    assert [thread.wait() for thread in asking] == [[b"%d" % n] for n in range(100)]


def test_the_bound_holds_and_a_full_service_stops_receiving(
    context: Context, serve: Callable[..., Service]
) -> None:
    most = 0
    go = Event()

    def handle(request: bytes) -> bytes:
        nonlocal most
        most = max(most, service.calls)
        go.wait()
        return request

    service = serve(handle, "inproc://full", calls_max=3, options={RCVHWM: 1})
    dealer = context.socket(DEALER)
    dealer.set(SNDHWM, 1)
    dealer.connect("inproc://full")
    sent = 0

    def send() -> None:
        nonlocal sent
        for number in range(50):
            dealer.send_multipart([b"", b"%d" % number])
            sent += 1

    sending = spawn(send)
    while service.calls < 3:
        sleep(0)
    for _ in range(100):
        sleep(0)
    # Three at work, two in queues of one: the sender waits.
    assert (service.calls, sent < 50) == (3, True)
    go.set()
    assert {dealer.recv_multipart()[1] for _ in range(50)} == {b"%d" % n for n in range(50)}
    sending.wait()
    assert most == 3
    dealer.close(0)


@pytest.mark.parametrize("transport", ["ipc", "tcp", "inproc"])
def test_any_transport(
    context: Context, serve: Callable[..., Service], tmp_path: Path, transport: str
) -> None:
    place = {"ipc": f"ipc://{tmp_path}/s", "tcp": "tcp://127.0.0.1:*", "inproc": "inproc://s"}
    service = serve(bytes.upper, place[transport])
    assert ask_plainly(context, service.endpoint, b"a") == [b"A"]
    with Client(service.endpoint, context=context) as client:
        assert client.call(b"b") == b"B"


def test_a_place_that_is_none() -> None:
    for place in ("localhost:8000", 65536, -1):
        with pytest.raises(ValueError, match="not a"):
            Service(bytes.upper, ROUTER, place)
    with pytest.raises(ValueError, match="ROUTER"):
        Service(bytes.upper, REQ, 0)
    assert (XREP, XREQ) == (ROUTER, DEALER)


def test_an_address_in_use_is_an_error_and_leaves_nothing(
    context: Context, serve: Callable[..., Service]
) -> None:
    taken = serve(bytes.upper)
    second = Service(bytes.upper, ROUTER, taken.endpoint, context=context)
    with pytest.raises(zmq_names.ZMQError, match="in use"):
        second.start()
    second.stop()
    assert ask_plainly(context, taken.endpoint, b"a") == [b"A"]


def test_errors_are_answered_and_reported_and_touch_nobody_else(
    context: Context, serve: Callable[..., Service], caplog: pytest.LogCaptureFixture
) -> None:
    def handle(request: bytes) -> Any:
        if request == b"bug":
            raise LookupError("no such shelf")
        if request == b"no":
            raise CallRefused("not on a Sunday")
        if request == b"text":
            return "text"
        return request

    service = serve(handle)
    with Client(service.endpoint, context=context) as client:
        with caplog.at_level(logging.ERROR, "verdant.zmq"):
            with pytest.raises(CallRefused, match=r"^not on a Sunday$"):
                client.call(b"no")
            assert not caplog.records
            with pytest.raises(CallFailed, match=r"^LookupError: no such shelf$"):
                client.call(b"bug")
            with pytest.raises(CallFailed, match="answered with str, not bytes"):
                client.call(b"text")
        bug = caplog.records[0]
        assert service.endpoint in bug.getMessage()
        assert bug.exc_info is not None
        assert isinstance(bug.exc_info[1], LookupError)
        assert client.call(b"fine") == b"fine"
        # A plain client is told in frames of its own.
        assert ask_plainly(context, service.endpoint, b"no") == [
            b"\0verdant-error",
            b"zmq-call-refused",
            b"not on a Sunday",
        ]
        with pytest.raises(CallRefused, match="takes one frame, and this request has 2"):
            client.call_multipart([b"a", b"b"])


def test_what_is_no_call_is_counted_and_dropped(
    context: Context, serve: Callable[..., Service]
) -> None:
    service = serve(bytes.upper)
    dealer = context.socket(DEALER)
    dealer.connect(service.endpoint)
    dealer.send_multipart([b"no", b"empty frame"])
    dealer.send_multipart([b"", b"a"])
    assert dealer.recv_multipart() == [b"", b"A"]
    assert service.malformed == 1
    dealer.close(0)


def test_answers_for_a_client_that_left_are_counted_and_dropped(
    context: Context, serve: Callable[..., Service]
) -> None:
    begun, go = Event(), Event()

    def handle(request: bytes) -> bytes:
        begun.set()
        go.wait()
        return request

    service = serve(handle)
    while not service.undelivered:
        # ZeroMQ takes a moment to notice; until then an answer vanishes on its way.
        begun.clear()
        go.clear()
        dealer = context.socket(DEALER)
        dealer.connect(service.endpoint)
        dealer.send_multipart([b"", b"wait"])
        begun.wait()
        dealer.close(0)
        sleep(0.001)
        go.set()
        while service.calls:
            sleep(0)
    assert ask_plainly(context, service.endpoint, b"x") == [b"x"]
    assert service._active == 0


def test_a_client_that_does_not_take_its_answers_holds_up_nobody(
    context: Context, serve: Callable[..., Service]
) -> None:
    service = serve(bytes.upper, "inproc://slow", options={SNDHWM: 1})
    slow = context.socket(DEALER)
    slow.set(RCVHWM, 1)
    slow.connect("inproc://slow")
    for number in range(20):
        slow.send_multipart([b"", b"x%d" % number])
    # Two of its answers have room, the others wait in the service.
    while service.calls or not service._active:
        sleep(0)
    for _ in range(10):
        assert ask_plainly(context, "inproc://slow", b"a") == [b"A"]
    assert service._active == 18
    got = {slow.recv_multipart()[1] for _ in range(20)}
    assert got == {b"X%d" % number for number in range(20)}
    while service._active:
        sleep(0.001)
    assert service.undelivered == 0
    slow.close(0)


def test_several_frames(context: Context, serve: Callable[..., Service]) -> None:
    def handle(request: list[bytes]) -> list[bytes]:
        return request[::-1]

    service = serve(handle)
    frames = [b"a", b"", b"b" * 100_000]
    assert ask_plainly(context, service.endpoint, *frames) == frames[::-1]
    with Client(service.endpoint, context=context) as client:
        assert client.call_multipart(frames) == frames[::-1]
    twice = serve(lambda request: [request, request], takes=bytes, gives=list[bytes])
    with (
        Client(twice.endpoint, context=context) as client,
        pytest.raises(CallFailed, match="has 2 frames, not one"),
    ):
        client.call(b"a")


class Shelf:
    def __init__(self, books: int) -> None:
        self.books = books

    @zmq_loop(ROUTER, 0)
    def count(self, title: bytes) -> bytes:
        return b"%s: %d" % (title, self.books)


def test_methods_of_objects(context: Context) -> None:
    one, two = Shelf(1), Shelf(2)
    assert one.count is one.count
    assert one.count is not two.count
    assert one.count(b"Ulysses") == Shelf.count(one, b"Ulysses") == b"Ulysses: 1"
    one.count.start()
    two.count.start()
    assert ask_plainly(context, one.count.endpoint, b"Emma") == [b"Emma: 1"]
    assert ask_plainly(context, two.count.endpoint, b"Emma") == [b"Emma: 2"]
    one.count.stop()
    two.count.stop()


def test_records(context: Context, serve: Callable[..., Service]) -> None:
    service = serve(add)
    assert ask_plainly(context, service.endpoint, b'{"numbers":[1,2]}') == [b'{"total":3}']
    with Client(service.endpoint, context=context) as client:
        assert client.ask(Numbers([3, 4]), Sum) == Sum(7)
        for bad in (b"", b"{", b'{"numbers":["x"]}', b"\xff\xff", b"{}"):
            with pytest.raises(CallRefused, match="add cannot take this request: "):
                client.call(bad)
        with pytest.raises(CallFailed, match="not what was asked for"):
            client.ask(Numbers([3, 4]), Numbers)


def test_records_in_msgpack_and_types_by_argument(
    context: Context, serve: Callable[..., Service]
) -> None:
    def double(question):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202 - given below
        return [number * 2 for number in question.numbers]

    service = serve(double, takes=Numbers, gives=list[int], encoding="msgpack")
    with Client(service.endpoint, encoding="msgpack", context=context) as client:
        assert client.ask(Numbers([3, 4]), list[int]) == [6, 8]


def test_several_methods_behind_one_service(
    context: Context, serve: Callable[..., Service]
) -> None:
    methods = Methods()
    methods.method(add)

    @methods.method
    def upper(text: bytes) -> bytes:
        return text.upper()

    with pytest.raises(BadHandler, match="already"):
        methods.method(add)
    service = serve(methods)
    with Client(service.endpoint, context=context) as client:
        assert client.ask(Numbers([1]), Sum, method="add") == Sum(1)
        assert client.call_multipart([b"upper", b"a"]) == [b"A"]
        with pytest.raises(CallRefused, match="no method 'lower': there is add, upper"):
            client.call_multipart([b"lower", b"a"])


def test_what_cannot_serve_is_refused_at_once() -> None:
    def nothing() -> bytes:
        return b""

    def two(a: bytes, b: bytes) -> bytes:
        return a + b

    class Local(msgspec.Struct):
        x: int

    def unknown(question: Local) -> Local:
        return question

    for handle in (nothing, two, unknown):
        with pytest.raises(BadHandler, match=handle.__qualname__.replace(".", r"\.")):
            Service(handle, ROUTER, 0)


def test_stop_lets_calls_end_and_sends_new_ones_elsewhere(
    context: Context, serve: Callable[..., Service]
) -> None:
    go = Event()
    ran: list[tuple[str, bytes]] = []

    def first(request: bytes) -> bytes:
        ran.append(("first", request))
        go.wait()
        return b"first " + request

    def second(request: bytes) -> bytes:
        ran.append(("second", request))
        return b"second " + request

    one = serve(first)
    plain = context.socket(REQ)
    plain.connect(one.endpoint)
    plain.send_multipart([b"too", b"much"])
    assert b"takes one frame" in plain.recv_multipart()[2]
    with Client(one.endpoint, context=context) as client:
        under_way = spawn(client.call, b"a")
        while not one.calls:
            sleep(0)
        two = serve(second)
        with Client([one.endpoint, two.endpoint], context=context) as other:
            # Both are up.
            while not all(connection.up for connection in other._connections):
                sleep(0.001)
            stopping = spawn(one.stop, PATIENCE_S)
            while not one.stopping:
                sleep(0)
            # Not idempotent, and still safe: what the first refuses was not begun.
            for number in range(20):
                assert other.call(b"%d" % number) == b"second %d" % number
        plain.send(b"x")
        assert plain.recv_multipart()[:2] == [b"\0verdant-error", b"zmq-stopping"]
        go.set()
        assert under_way.wait() == b"first a"
        assert stopping.wait() == 0
        # Its place is free.
        serve(second, one.endpoint)
    assert [request for who, request in ran if who == "first"] == [b"a"]
    plain.close(0)


def test_stop_cuts_what_outlasts_its_grace(context: Context, serve: Callable[..., Service]) -> None:
    ended = Event()

    def handle(request: bytes) -> bytes:
        try:
            Event().wait()
        finally:
            ended.set()
        return request

    service = serve(handle)
    asking = spawn(ask_plainly, context, service.endpoint, b"a")
    while not service.calls:
        sleep(0)
    assert service.stop(0.01) == 1
    assert ended.is_set()
    assert asking.wait()[:2] == [b"\0verdant-error", b"zmq-stopping"]
    assert service.stop() == 0


def test_run_ends_with_its_interrupt(context: Context) -> None:
    service = Service(bytes.upper, ROUTER, 0, context=context)
    running = spawn(service.run)
    while service.endpoint.endswith("*"):
        sleep(0)
    assert ask_plainly(context, service.endpoint, b"a") == [b"A"]
    running.cancel()
    running.join()
    assert service.stopping
    second = Service(bytes.upper, ROUTER, service.endpoint, context=context)
    second.start()
    second.stop()


WORKER = """
import sys
from verdant.zmq import DEALER, zmq_loop

@zmq_loop(DEALER, sys.argv[1], connect=True, name="worker")
def work(request):
    return sys.argv[2].encode() + b" " + request

work.run()
"""


def test_workers_behind_a_broker(context: Context) -> None:
    front, back = context.socket(ROUTER), context.socket(DEALER)
    front.bind("tcp://127.0.0.1:*")
    back.bind("tcp://127.0.0.1:*")

    def pump(source: Any, sink: Any) -> None:
        while True:
            sink.send_multipart(source.recv_multipart())

    pumps = [spawn(pump, front, back), spawn(pump, back, front)]
    address = back.getsockopt(LAST_ENDPOINT).rstrip(b"\0").decode()
    workers = [
        subprocess.Popen([sys.executable, "-W", "error", "-c", WORKER, address, name])
        for name in ("one", "two")
    ]
    try:
        with Client(
            front.getsockopt(LAST_ENDPOINT).rstrip(b"\0").decode(), context=context
        ) as client:
            seen: set[bytes] = set()
            number = 0
            while len(seen) < 2:
                who, said = client.call(b"%d" % number).split()
                assert said == b"%d" % number
                seen.add(who)
                number += 1
        assert seen == {b"one", b"two"}
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()
        for thread in pumps:
            thread.cancel()
            thread.join()
        front.close(0)
        back.close(0)


def test_idle_services_and_many_calls_leave_nothing_behind(
    context: Context, serve: Callable[..., Service]
) -> None:
    service = serve(bytes.upper, calls_max=50)
    with Client(service.endpoint, context=context) as client:
        for _ in range(5):
            asking = [spawn(client.call, b"x%d" % n) for n in range(300)]
            assert [thread.wait() for thread in asking] == [b"X%d" % n for n in range(300)]
        assert (service.calls, service._active) == (0, 0)
        assert not client._calls
        assert not any(connection.under_way for connection in client._connections)
